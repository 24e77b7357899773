#!/usr/bin/env node
import {basename} from 'node:path';
import {bake} from './commands/bake.ts';
import {boot} from './commands/boot.ts';
import {buildIsoCommand} from './commands/build-iso.ts';
import {buildPxeCommand} from './commands/build-pxe.ts';
import {check} from './commands/check.ts';
import type {CliCommand} from './commands/command.ts';
import {lock} from './commands/lock.ts';
import {lockInstaller} from './commands/lock-installer.ts';
import {plan} from './commands/plan.ts';
import {render} from './commands/render.ts';
import {schema} from './commands/schema.ts';
import {seed} from './commands/seed.ts';
import {serveCommand} from './commands/serve.ts';
import {ProfileError} from './profile/faults.ts';
import {ProgramError, UsageError, UserError} from './run.ts';

const commands: Readonly<Record<string, CliCommand>> = {
	check,
	render,
	plan,
	'build-iso': buildIsoCommand,
	lock,
	'lock-installer': lockInstaller,
	'build-pxe': buildPxeCommand,
	serve: serveCommand,
	bake,
	seed,
	boot,
	schema,
};

const usage = `usage: bringup <command> [options]

${Object.entries(commands)
	.map(([name, {summary}]) => `  ${name.padEnd(12)} ${summary}`)
	.join('\n')}

bringup <command> --help says more. build-iso is a command of its own too.
`;

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
	EADDRINUSE: 'the port is in use; choose another with --port',
};

function formatProgramError({message, command, output, log}: ProgramError): string {
	const tail = output.trimEnd().split('\n').slice(-12);
	const full = /No space left on device|exceeds free space on media/.test(output)
		? ['the disk is full: free some space, or choose other places with --out and --cache']
		: [];
	return [
		`error: ${message}`,
		`  ${command.join(' ')}`,
		...tail.map(line => `  ${line}`),
		...full,
		...(log ? [`  full log: ${log}`] : []),
	].join('\n');
}

/** What to print for an error, and the exit code: 2 the user's file or words, 1 what failed outside, 70 our bug. */
function explain(error: unknown): [text: string, code: number] {
	if (error instanceof ProfileError) return [error.message, 2];
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

async function main(argv: readonly string[], signal: AbortSignal): Promise<number> {
	const called = basename(process.argv[1] ?? '');
	const [name = '', ...rest] = called === 'build-iso' ? ['build-iso', ...argv] : argv;
	const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
	if (!command) {
		const asked = name === '' || name === '--help' || name === '-h' || name === 'help';
		(asked ? process.stdout : process.stderr).write(asked ? usage : `error: there is no command ${name}\n\n${usage}`);
		return asked ? 0 : 2;
	}
	if (rest.includes('--help') || rest.includes('-h')) {
		process.stdout.write(command.help);
		return 0;
	}
	return (await command.run(rest, {signal, environment: process.env, out: process.stdout, err: process.stderr})) ?? 0;
}

const abort = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
	process.on(signal, () => {
		if (abort.signal.aborted) process.exit(130); // asked twice: at once
		abort.abort();
	});
}
process.umask(0o022); // a user namespace's root must read what is put together for it
process.stdout.on('error', () => process.exit(0)); // the reader of a pipe has gone

try {
	process.exitCode = await main(process.argv.slice(2), abort.signal);
} catch (error) {
	const [text, code] = explain(error);
	process.stderr.write(abort.signal.aborted ? 'interrupted; nothing half-written is left\n' : `${text}\n`);
	process.exitCode = abort.signal.aborted ? 130 : code;
}
