import {FullDiskError, isFullDisk} from './folder.ts';

import {maskUrls, printable} from './printable.ts';
import {IncompleteError, ProfileError} from './profile/faults.ts';
import {ProgramError, UsageError, UserError} from './run.ts';

const systemErrors: Record<string, string> = {
	ENOSPC: 'the disk is full',
	EACCES: 'permission denied',
	EPERM: 'not permitted',
	EROFS: 'the file system is read-only',
	EDQUOT: 'the disk quota is used up',
	ENOENT: 'there is no such file or folder',
	ENOTDIR: 'a file is in the place of a folder',
	EISDIR: 'it is a folder, not a file',
	EEXIST: 'it is there already',
	EBUSY: 'it is in use',
	EIO: 'the disk or the share does not read or write',
	ESTALE: 'the share is not what it was; mount it again',
	ETIMEDOUT: 'the share does not answer',
	EHOSTDOWN: 'the host of the share does not answer',
	ENOTCONN: 'the share is not connected; mount it again',
	EADDRINUSE: 'the port is in use; choose another with --port',
};

function formatProgramError({message, command, output, log}: ProgramError): string {
	const tail = output.trimEnd().split('\n').slice(-12);
	return [
		`error: ${message}`,
		`  ${command.join(' ')}`,
		...tail.map(line => `  ${line}`),
		...(log ? [`  full log: ${log}`] : []),
	].join('\n');
}

/** What can be done about a full disk; a program that has cleaned up behind itself leaves open which. */
const places =
	'artefacts and their parts are made where --out says, downloads and bases are kept where --cache says, and root file systems are put together where TMPDIR says';

/** What to print for an error, without the passwords of URLs, and the exit code: 2 the user's file or words, 3 a file that is an example, 1 what failed outside, 70 our bug. */
export function explain(error: unknown): [text: string, code: number] {
	const [text, code] = tell(error instanceof FullDiskError ? error.cause : error);
	const full =
		error instanceof FullDiskError
			? `\n${error.folder} is full: free some of it, or choose another place (${places})`
			: isFullDisk(error)
				? `\na disk is full: free some of it, or choose another place (${places})`
				: '';
	return [printable(maskUrls(`${text}${full}`)), code]; // an error may hold what a server or a machine said
}

function tell(error: unknown): [text: string, code: number] {
	if (error instanceof ProfileError) return [error.message, 2];
	if (error instanceof IncompleteError) return [error.message, 3];
	if (error instanceof UsageError) return [`error: ${error.message}`, 2];
	if (error instanceof UserError) return [`error: ${error.message}`, 1];
	if (error instanceof ProgramError) return [formatProgramError(error), 1];
	if (!(error instanceof Error)) return [`bug: ${String(error)}`, 70];
	const {code = '', path} = error as NodeJS.ErrnoException;
	if (code.startsWith('ERR_PARSE_ARGS')) return [`error: ${error.message.split('. ')[0]}. See --help`, 2];
	const system = systemErrors[code];
	if (system) return [`error: ${path ? `${path}: ` : ''}${system}`, 1];
	return [`bug: ${error.stack}\nThis is a fault of bringup itself; please report it with these lines.`, 70];
}
