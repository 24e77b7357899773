import {execFile, spawnSync} from 'node:child_process';
import {constants, lstatSync, readdirSync, readFileSync, readlinkSync} from 'node:fs';
import {mkdir, open, realpath, rename, rm} from 'node:fs/promises';
import {basename, dirname, join} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {fetchFile} from './fetch.ts';
import {findHome, readInHome} from './homes.ts';
import type {Command, Listed, Probe, Step} from './phase.ts';
import type {Door} from './run.ts';

const environment = {
	LC_ALL: 'C.UTF-8',
	PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
	SYSTEMCTL_SKIP_SYSV: '1', // a unit's links in /etc/rc?.d are nobody's, and cost two more reloads of systemd
};

/** A program that failed on the machine: which, and its last lines. */
export class CommandError extends Error {
	readonly command: Command;
	readonly lines: readonly string[];

	constructor(command: Command, how: string, output: string, options?: ErrorOptions) {
		super(`${command[0]} ${how}`, options);
		this.command = command;
		this.lines = output.trimEnd().split('\n').slice(-20);
	}
}

/** Runs a program to its end. */
async function run(command: Command, input?: string, [program, ...args]: Command = command): Promise<string> {
	// Not loaded at a boot with nothing to do: it takes longer than all questions together.
	const {execa} = await import('execa');
	const options = {env: environment, extendEnv: false, reject: false, stripFinalNewline: false, all: true} as const;
	const end = await execa(program, args, {...options, ...(input === undefined ? {stdin: 'ignore'} : {input})});
	if (end.exitCode === 0) return end.stdout;
	const how = end.exitCode === undefined ? (end.shortMessage ?? 'could not be run') : `exited with ${end.exitCode}`;
	throw new CommandError(command, how, end.all ?? '', {cause: end});
}

/** A question: its program is waited for, without the streams of one that runs beside others. */
function ask(command: Command, [program, ...args]: Command = command): string {
	const end = spawnSync(program, args, {
		env: environment,
		stdio: ['ignore', 'pipe', 'pipe'],
		encoding: 'utf8',
		maxBuffer: 2 ** 28,
	});
	if (end.status === 0) return end.stdout;
	const how = end.error ? `could not be run: ${end.error.message}` : `exited with ${end.status ?? end.signal}`;
	throw new CommandError(command, how, `${end.stdout ?? ''}${end.stderr ?? ''}`, {cause: end.error});
}

/** The same of a program that runs beside others. */
function askBeside(command: Command, [program, ...args]: Command = command): Promise<string> {
	return new Promise((resolve, reject) => {
		const child = execFile(program, args, {env: environment, maxBuffer: 2 ** 28}, (error, stdout, stderr) => {
			if (error === null) return resolve(stdout);
			const {code, signal} = error;
			const how = typeof code === 'string' ? `could not be run: ${error.message}` : `exited with ${code ?? signal}`;
			reject(new CommandError(command, how, `${stdout}${stderr}`, {cause: error}));
		});
		child.stdin?.end();
	});
}

function isAbsent(error: unknown): boolean {
	const code = (error as NodeJS.ErrnoException).code;
	return code === 'ENOENT' || code === 'ENOTDIR';
}

/** sysfs shows attributes that the device does not have, and refuses to read them. */
function isUnsupported(path: string, error: unknown): boolean {
	return (
		path.startsWith('/sys/') && ['ENXIO', 'EINVAL', 'EOPNOTSUPP'].includes((error as NodeJS.ErrnoException).code ?? '')
	);
}

async function read(path: string): Promise<string | undefined> {
	try {
		const home = findHome(path);
		return home === undefined ? readFileSync(path, 'utf8') : readInHome(path, home); // a tenth of what it takes beside others
	} catch (error) {
		if (isAbsent(error) || isUnsupported(path, error)) return undefined;
		throw error;
	}
}

async function readBytes(path: string, count: number): Promise<Buffer | undefined> {
	const file = await open(path).catch(error => {
		if (isAbsent(error)) return undefined;
		throw error;
	});
	if (file === undefined) return undefined;
	try {
		const {size} = await file.stat();
		const length = Math.min(Math.abs(count), size);
		const {buffer, bytesRead} = await file.read(Buffer.alloc(length), 0, length, count < 0 ? size - length : 0);
		return buffer.subarray(0, bytesRead);
	} finally {
		await file.close();
	}
}

/** Undefined for what went away meanwhile, or is another thing now. */
function look(path: string): Listed | undefined {
	const stat = lstatSync(path, {bigint: true, throwIfNoEntry: false});
	if (stat === undefined) return undefined;
	const type = stat.isFile() ? 'f' : stat.isDirectory() ? 'd' : stat.isSymbolicLink() ? 'l' : '?';
	const listed = {type, size: String(stat.size), time: String(stat.mtimeNs), inode: String(stat.ino), target: ''};
	if (type !== 'l') return listed;
	try {
		return {...listed, target: readlinkSync(path)};
	} catch (error) {
		if (isAbsent(error) || (error as NodeJS.ErrnoException).code === 'EINVAL') return undefined;
		throw error;
	}
}

async function list(path: string): Promise<Map<string, Listed> | undefined> {
	try {
		const entries = readdirSync(path).map(name => [name, look(join(path, name))] as const);
		return new Map(entries.filter((entry): entry is [string, Listed] => entry[1] !== undefined));
	} catch (error) {
		if (isAbsent(error)) return undefined;
		throw error;
	}
}

/**
 * The same program, run by PID 1 in a unit of its own, which ends with our service. systemd-run(1) expands variables in
 * the arguments, and the option against it is newer than Debian 12; a doubled dollar stands for one.
 */
export function inUnit([program, ...args]: Command, why: string): Command {
	const variables = Object.entries(environment).map(([name, value]) => `--setenv=${name}=${value}`);
	return [
		...(['systemd-run', '--quiet', '--collect', '--wait', '--pipe', '--property=BindsTo=bringup.service'] as const),
		`--description=${why}`,
		...variables,
		'--',
		program,
		...args.map(arg => arg.replaceAll('$', () => '$$')),
	];
}

/** The real machine, asked. */
export const machineProbe: Probe = {output: async command => ask(command), read, readBytes, list};

/** A way to the machine, which also answers while it is asked something else. */
type OpenDoor = Door & {askBeside: Probe['output']};

/** The real machine. */
export const machineDoor: OpenDoor = {probe: machineProbe, askBeside, apply};

async function syncPath(path: string): Promise<void> {
	const handle = await open(path, constants.O_RDONLY);
	try {
		await handle.sync();
	} finally {
		await handle.close();
	}
}

/** Writes a file so that a power cut leaves the old content or the new, never less: temporary file, fsync, rename, fsync the folder. */
export async function writeDurably(path: string, content: string, mode: number): Promise<void> {
	const made = await mkdir(dirname(path), {recursive: true});
	const target = await realpath(path).catch(error => {
		if (isAbsent(error)) return path;
		throw error;
	});
	// Always the same name: what a power cut leaves behind is overwritten by the next boot.
	const temporary = join(dirname(target), `.${basename(target)}.bringup`);
	try {
		const file = await open(temporary, 'w', mode);
		try {
			await file.writeFile(content);
			await file.chmod(mode);
			await file.sync();
		} finally {
			await file.close();
		}
		await rename(temporary, target);
		await syncPath(target); // on FAT the new name has the old content's place and size only after this
	} catch (error) {
		await rm(temporary, {force: true});
		throw error;
	}
	for (let folder = dirname(target); ; folder = dirname(folder)) {
		await syncPath(folder);
		if (made === undefined || folder === dirname(made) || folder === '/') break;
	}
}

async function wait(until: Command, seconds: number): Promise<void> {
	const end = Date.now() + seconds * 1000;
	for (;;) {
		try {
			await run(until);
			return;
		} catch (error) {
			if (Date.now() >= end) {
				const lines = error instanceof CommandError ? error.lines.join('\n') : String(error);
				throw new CommandError(until, `did not succeed within ${seconds} s`, lines, {cause: error});
			}
			await sleep(250);
		}
	}
}

const asOther = (command: Command) => (/^(runuser|setpriv)$/.test(command[0]) ? inUnit(command, 'ask') : command);

/**
 * The machine from within bringup.service, which may look at everything and change little: a program that changes
 * something, or that is run as another user, is run in a unit of its own.
 */
export const confinedDoor: OpenDoor = {
	probe: {output: async command => ask(command, asOther(command)), read, readBytes, list},
	askBeside: command => askBeside(command, asOther(command)),
	async apply(step, say) {
		if (step.do === 'run') await run(step.command, step.stdin, inUnit(step.command, step.why));
		else await apply(step, say);
	},
};

/** Performs one step on the machine; says what it waits for. Throws a CommandError when a program fails. */
export async function apply(step: Step, say: (line: string) => void): Promise<void> {
	switch (step.do) {
		case 'run':
			await run(step.command, step.stdin);
			return;
		case 'write':
			await writeDurably(step.path, step.content, step.mode);
			return;
		case 'fetch':
			await fetchFile(step, say);
			return;
		case 'wait':
			await wait(step.until, step.seconds);
			return;
		case 'reboot':
			await run(['systemctl', '--no-block', 'reboot']);
			return;
	}
}
