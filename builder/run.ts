import {createWriteStream, type WriteStream} from 'node:fs';
import {access, constants} from 'node:fs/promises';
import {delimiter, join} from 'node:path';
import {finished} from 'node:stream/promises';
import {StringDecoder} from 'node:string_decoder';
import {execa} from 'execa';
import {maskUrls, printable} from './printable.ts';

/** A program and its arguments. Never a shell line. */
export type Command = readonly [program: string, ...args: string[]];

/** A program that failed: which, how, and its last lines. The user sees all of it. */
export class ProgramError extends Error {
	readonly command: Command;
	readonly output: string;
	/** The full log, where one was kept. */
	readonly log: string | undefined;

	constructor(command: Command, how: string, output: string, log?: string, options?: ErrorOptions) {
		super(maskUrls(`${command[0]} ${how}`), options);
		this.command = [command[0], ...command.slice(1).map(maskUrls)];
		this.output = maskUrls(output);
		this.log = log;
	}
}

/** An error that the user can mend, said in full in its message. */
export class UserError extends Error {}

/** The words of the command line make no sense; the exit code is that of a faulty profile. */
export class UsageError extends UserError {}

export interface RunOptions {
	/** Standard input: text, or a file. */
	input?: string;
	inputFile?: string;
	cwd?: string;
	env?: Readonly<Record<string, string>>;
	/** File that gets the whole output, appended. */
	log?: string;
	/** Called for each line of output. */
	onLine?: (line: string) => void;
	signal?: AbortSignal | undefined;
}

/** Debian's packages of programs that have another name. */
const programsOf: Readonly<Record<string, readonly string[]>> = {
	apt: ['apt-get', 'apt-cache', 'apt-config', '/usr/lib/apt/apt-helper'],
	coreutils: [
		...['cat', 'chmod', 'chown', 'cp', 'du', 'id', 'md5sum', 'mkdir', 'rm', 'sha256sum', 'stat', 'sync', 'timeout'],
		...['touch', 'readlink', 'sleep', 'true'],
	],
	dpkg: ['dpkg-deb', 'dpkg-query'],
	'dnsmasq-base': ['dnsmasq'], // dnsmasq itself starts a server
	e2fsprogs: ['debugfs', 'mkfs.ext4'],
	fdisk: ['sfdisk'],
	findutils: ['find'],
	'grub-common': ['grub-mkimage'],
	iproute2: ['ip'],
	'libc-bin': ['getent'],
	'live-build': ['lb'],
	mtools: ['mcopy', 'mformat', 'mmd', 'mtype'],
	'openssh-client': ['ssh', 'ssh-add', 'ssh-keygen', 'ssh-keyscan'],
	procps: ['ps'],
	'qemu-system-x86': ['qemu-system-x86_64'],
	'qemu-utils': ['qemu-img'],
	'squashfs-tools': ['mksquashfs', 'unsquashfs'],
	systemd: ['systemctl', 'systemd-analyze'],
	'util-linux': ['flock', 'lsblk', 'setpriv', 'unshare'],
	'xz-utils': ['xz'],
};

/** The Debian package of a program. */
export function packageOf(program: string): string {
	return Object.keys(programsOf).find(name => programsOf[name]?.includes(program)) ?? program;
}

/** Throws a UserError that names every program that is not installed, and its Debian package. */
export async function checkPrograms(programs: readonly string[], searchPath: string): Promise<void> {
	const folders = searchPath.split(delimiter);
	const found = await Promise.all(
		programs.map(async program => {
			const tries = await Promise.allSettled(folders.map(folder => access(join(folder, program), constants.X_OK)));
			return tries.some(({status}) => status === 'fulfilled');
		}),
	);
	const missing = programs.filter((_, index) => !found[index]);
	if (missing.length === 0) return;
	const names = [...new Set(missing.map(packageOf))];
	throw new UserError(
		`not installed: ${missing.join(', ')}. Install: apt-get install --no-install-recommends ${names.join(' ')}`,
	);
}

/** Says what a missing program means, or how a program ended. */
function describeEnd(
	command: Command,
	result: {code?: string; exitCode?: number; signal?: string; isCanceled: boolean},
): string {
	if (result.code === 'ENOENT') {
		return `is not installed. Install it: apt-get install --no-install-recommends ${packageOf(command[0])}`;
	}
	if (result.isCanceled) return 'was interrupted';
	if (result.signal) return `was ended by ${result.signal}`;
	return result.exitCode === undefined ? 'could not be started' : `exited with ${result.exitCode}`;
}

function openLog(path: string | undefined, command: Command): WriteStream | undefined {
	if (path === undefined) return undefined;
	const log = createWriteStream(path, {flags: 'a'});
	log.on('error', () => {}); // a log that cannot be written must not hide what it is about
	log.write(`$ ${maskUrls(command.join(' '))}\n`);
	return log;
}

function settings({cwd, env, signal}: RunOptions) {
	return {
		...(cwd === undefined ? {} : {cwd}),
		env: {LC_ALL: 'C.UTF-8', ...env},
		extendEnv: true,
		reject: false,
		stripFinalNewline: false,
		...(signal === undefined ? {} : {cancelSignal: signal}),
		forceKillAfterDelay: 10_000,
	} as const;
}

/** Ends the program also when this process is killed outright. */
function tie([program, ...args]: Command, signal: 'TERM' | 'KILL' = 'TERM'): Command {
	return ['setpriv', '--pdeathsig', signal, program, ...args];
}

function inputOf({input, inputFile}: RunOptions) {
	if (inputFile !== undefined) return {inputFile};
	return input === undefined ? {stdin: 'ignore' as const} : {input};
}

/** Runs a program to its end and gives its standard output. Throws a ProgramError unless it exits with 0. */
export async function run(command: Command, options: RunOptions = {}): Promise<string> {
	const [program, ...args] = command;
	const child = execa(program, args, {
		...settings(options),
		...inputOf(options),
		all: true,
		maxBuffer: 2 ** 28,
	});
	return finish(command, child, options);
}

interface Child {
	all: NodeJS.ReadableStream;
}

interface Result {
	stdout?: string | undefined;
	all?: string | undefined;
	exitCode?: number;
	code?: string;
	signal?: string;
	isCanceled: boolean;
	failed: boolean;
}

async function finish(
	command: Command,
	child: Child & PromiseLike<unknown>,
	{log: logPath, onLine}: RunOptions,
): Promise<string> {
	const log = openLog(logPath, command);
	const decoder = new StringDecoder();
	let rest = '';
	child.all.on('data', (chunk: Buffer) => {
		const text = rest + decoder.write(chunk);
		const end = Math.max(text.lastIndexOf('\n'), text.lastIndexOf('\r')) + 1;
		rest = text.slice(end);
		log?.write(printable(maskUrls(text.slice(0, end))));
		for (const line of text
			.slice(0, end)
			.split(/[\r\n]/)
			.slice(0, -1))
			onLine?.(line);
	});
	const result = (await child) as Result;
	if (log) {
		log.end(printable(maskUrls(rest)));
		await finished(log).catch(() => {});
	}
	if (!result.failed) return result.stdout ?? '';
	throw new ProgramError(command, describeEnd(command, result), result.all ?? '', logPath, {cause: result});
}

/**
 * Runs a long program that changes things, tied to this process's life, its output to the log.
 * Throws a ProgramError unless it exits with 0.
 */
export async function runLong(command: Command, options: RunOptions = {}): Promise<void> {
	await run(tie(command), options).catch(error => {
		if (!(error instanceof ProgramError)) throw error;
		const missing = /failed to execute/.test(error.output);
		const how = missing
			? describeEnd(command, {code: 'ENOENT', isCanceled: false})
			: error.message.replace(/^setpriv /, '');
		throw new ProgramError(command, how, error.output, error.log, {cause: error});
	});
}

/** Runs one program into the standard input of another; both must exit with 0. Either's failure names that program. */
export async function pipe(from: Command, to: Command, options: RunOptions = {}): Promise<void> {
	const spawn = (command: Command, streams: object) => {
		const [program, ...args] = tie(command, 'KILL');
		return execa(program, args, {...settings(options), killSignal: 'SIGKILL', ...streams});
	};
	const source = spawn(from, {stdin: 'ignore', stdout: 'pipe', buffer: {stdout: false}});
	const sink = spawn(to, {stdin: 'pipe', all: true});
	source.stdout?.pipe(sink.stdin as NodeJS.WritableStream);
	// A sink that ends early leaves nobody to read: the source must see that, or it waits for ever.
	sink.stdin?.on('close', () => source.stdout?.destroy());
	sink.stdin?.on('error', () => {}); // the sink's end says why
	const failures: unknown[] = [];
	await Promise.all([
		finish(from, Object.assign(source, {all: source.stderr}) as never, options).catch(error => failures.push(error)),
		finish(to, sink as never, options).catch(error => failures.push(error)),
	]);
	if (failures.length > 0) throw failures[0]; // the second failed because the first did
}

/** A program that goes on until it is told to end. */
export interface Started {
	pid: number;
	/** Ends by itself or by kill; gives the last of its output. Never rejects. */
	ended: Promise<{exitCode: number | undefined; output: string}>;
	kill(signal: 'SIGTERM' | 'SIGKILL'): void;
}

/** With `terminal` it has this process's own; else its output goes to `onOutput` as it comes, and the last of it is kept. */
type StartOptions = {terminal?: boolean; onOutput?: (text: string) => void};

/** Starts a program that ends with this process at the latest. */
export function start(command: Command, options: StartOptions = {}): Started {
	const [program, ...args] = tie(command);
	const streams = options.terminal
		? ({stdio: 'inherit'} as const)
		: ({stdin: 'ignore', all: true, buffer: false} as const);
	const child = execa(program, args, {...settings({}), ...streams});
	let output = '';
	child.all?.setEncoding('utf8').on('data', text => {
		options.onOutput?.(text);
		output = `${output}${text}`.slice(-(2 ** 18)); // it may go on for weeks
	});
	const ended = child.then(({exitCode}) => ({exitCode, output}));
	return {pid: child.pid ?? 0, ended, kill: signal => void child.kill(signal)};
}

/** Takes a lock with flock(1), and gives what lets go of it; undefined when it exits with 75. The kernel lets go however this process ends. */
async function takeLock(
	options: readonly string[],
	path: string,
	signal?: AbortSignal,
): Promise<(() => Promise<void>) | undefined> {
	// What cat says again, it says with the lock in its hands.
	const [program, ...args] = tie(['flock', '--no-fork', '--conflict-exit-code', '75', ...options, path, 'cat']);
	const child = execa(program, args, {...settings({signal}), stdin: 'pipe', stdout: 'pipe'});
	const held = new Promise<true>(resolve => child.stdout.once('data', () => resolve(true)));
	child.stdin.on('error', () => {}); // its end says why
	child.stdin.write('\n');
	const first = await Promise.race([held, child]);
	if (first !== true) {
		if (first.exitCode === 75) return undefined;
		throw new ProgramError(['flock', path], describeEnd(['flock'], first as Result), String(first.stderr));
	}
	return async () => {
		child.stdin.end();
		await child;
	};
}

/**
 * Does something while no other process, of another container or over NFS too, holds the same file; made where it is not
 * there. Throws a UserError with `busy` when one does.
 */
export async function withLock<T>(path: string, busy: string, use: () => Promise<T>): Promise<T> {
	const free = await takeLock(['--nonblock'], path);
	if (!free) throw new UserError(busy);
	return use().finally(free);
}

/** The same, when the other has done; `waiting` is called when there is one. With `shared`, beside others that share it. */
export async function awaitLock<T>(
	path: string,
	{waiting, signal, shared}: {waiting?: () => void; signal?: AbortSignal; shared?: true},
	use: () => Promise<T>,
): Promise<T> {
	const kind = shared ? ['--shared'] : [];
	let free = await takeLock([...kind, '--nonblock'], path);
	if (!free) {
		waiting?.();
		free = await takeLock(kind, path, signal);
	}
	return use().finally(free);
}
