import {type ChildProcess, spawn} from 'node:child_process';
import {once} from 'node:events';
import {setTimeout as sleep} from 'node:timers/promises';
import {checkDisks} from './disk-check.ts';
import {fetchFile} from './fetch.ts';
import {files, writeDurably} from './files.ts';
import {formatSeconds, limitOf, questionSeconds} from './limits.ts';
import type {Command, Probe, Step} from './phase.ts';
import type {Door} from './run.ts';

const environment = {
	LC_ALL: 'C.UTF-8',
	PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
	SYSTEMCTL_SKIP_SYSV: '1', // a unit's links in /etc/rc?.d are nobody's, and cost two more reloads of systemd
};

type Say = (line: string) => void;

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

/** How a program is run. */
interface Options {
	/** Seconds until it is stopped. */
	limit: number;
	say: Say;
	input?: string | undefined;
	/** What is run in its place, and does the same. */
	as?: Command;
	/** Whether it changes the machine. */
	changes?: boolean;
}

/** Seconds from asking a program to stop to killing it, and from there to leaving it behind. */
const grace = 3;

/** Ends a program with all that it has started. */
function signal({pid}: ChildProcess, name: 'SIGTERM' | 'SIGKILL'): void {
	try {
		if (pid !== undefined) process.kill(-pid, name);
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
	}
}

/** Says what is waited for when it takes a while, and again from time to time. Gives how to end that. */
function tell({limit, say}: Pick<Options, 'limit' | 'say'>, what: string): () => void {
	const began = performance.now();
	const line = what.length > 120 ? `${what.slice(0, 120)} …` : what;
	const next = (after: number): NodeJS.Timeout =>
		setTimeout(() => {
			const since = Math.round((performance.now() - began) / 1000);
			say(`waiting for ${line}: ${formatSeconds(since)} so far, ${formatSeconds(limit)} at most`);
			timer = next(300);
		}, after * 1000);
	let timer = next(20);
	return () => clearTimeout(timer);
}

interface End {
	code: number | undefined;
	/** Why it has no exit code. */
	why: string | undefined;
	stdout: string;
	all: string;
}

/** Programs that change the machine. They have process groups of their own, so what ends us must be told to them. */
const running = new Set<ChildProcess>();
const signals = ['SIGHUP', 'SIGINT', 'SIGTERM'] as const;

function endAll(name: NodeJS.Signals): void {
	for (const child of running) signal(child, 'SIGTERM');
	for (const one of signals) process.off(one, endAll);
	process.kill(process.pid, name);
}

function watch(child: ChildProcess): () => void {
	if (running.size === 0) for (const name of signals) process.on(name, endAll);
	running.add(child);
	return () => {
		running.delete(child);
		if (running.size === 0) for (const name of signals) process.off(name, endAll);
	};
}

/**
 * Runs a program, in a process group of its own, until it ends or its time is over. What it has started may outlive it
 * and keep its output open: that is not waited for. One that not even SIGKILL ends (it waits for a disk) is left behind.
 */
function start(command: Command, options: Options): Promise<End> {
	const [program, ...args] = options.as ?? command;
	// Its unit has the same limit, and is stopped by systemd.
	const patience = options.as ? options.limit + 30 : options.limit;
	return new Promise(resolve => {
		const input = options.input === undefined ? 'ignore' : 'pipe';
		const child = spawn(program, args, {env: environment, stdio: [input, 'pipe', 'pipe'], detached: true});
		const release = options.changes ? watch(child) : () => {};
		const [all, stdout]: [Buffer[], Buffer[]] = [[], []];
		const timers: NodeJS.Timeout[] = [];
		const quiet = tell(options, command.join(' '));
		let [late, why]: [boolean, string | undefined] = [false, undefined];
		const end = (code: number | null) => {
			if (late) signal(child, 'SIGKILL');
			quiet();
			release();
			for (const timer of timers) clearTimeout(timer);
			for (const stream of child.stdio) stream?.destroy();
			child.unref();
			const text = (chunks: Buffer[]) => Buffer.concat(chunks).toString('utf8');
			resolve({code: why === undefined ? (code ?? undefined) : undefined, why, stdout: text(stdout), all: text(all)});
		};
		const later = (seconds: number, act: () => void) => timers.push(setTimeout(act, seconds * 1000));
		child.stdout?.on('data', (chunk: Buffer) => {
			stdout.push(chunk);
			all.push(chunk);
		});
		child.stderr?.on('data', (chunk: Buffer) => all.push(chunk));
		child.stdin?.on('error', () => {}); // it may end without reading
		child.stdin?.end(options.input);
		child.on('error', error => {
			why ??= `could not be run: ${error.message}`;
			end(null);
		});
		child.on('exit', (code, name) => {
			if (name !== null) why ??= `was ended by ${name}`;
			later(grace, () => end(code));
		});
		child.on('close', end);
		later(patience, () => {
			late = true;
			why = `did not end within ${formatSeconds(options.limit)}, and was stopped`;
			signal(child, 'SIGTERM');
		});
		later(patience + grace, () => signal(child, 'SIGKILL'));
		later(patience + 2 * grace, () => {
			why = `did not end within ${formatSeconds(options.limit)}, and cannot be stopped: it waits for the kernel, or for a disk`;
			end(null);
		});
	});
}

/** Locks an open file for as long as it is open, by flock(2), which Node.js has not. False when another process has it. */
export async function lockFile(file: number): Promise<boolean> {
	const child = spawn('flock', ['--exclusive', '--nonblock', '3'], {
		env: environment,
		stdio: ['ignore', 'ignore', 'ignore', file],
	});
	const [code] = (await once(child, 'exit')) as [number | null];
	if (code === 0 || code === 1) return code === 0;
	throw new CommandError(['flock', '--exclusive', '--nonblock', '3'], `exited with ${code}`, '');
}

/** The standard output of a program. Throws a CommandError when it fails, or does not end. */
async function run(command: Command, options: Options): Promise<string> {
	const began = performance.now();
	const {code, why, stdout, all} = await start(command, options);
	if (code === 0) return stdout;
	const late = (performance.now() - began) / 1000 >= options.limit;
	const how = late ? `did not end within ${formatSeconds(options.limit)}, and was stopped` : `exited with ${code}`;
	throw new CommandError(command, why ?? how, all);
}

/**
 * The same program, run by PID 1 in a unit of its own, which ends with our service. systemd-run(1) expands variables in
 * the arguments, and the option against it is newer than Debian 12; a doubled dollar stands for one.
 */
export function inUnit([program, ...args]: Command, why: string, limit: number): Command {
	const variables = Object.entries(environment).map(([name, value]) => `--setenv=${name}=${value}`);
	return [
		...(['systemd-run', '--quiet', '--collect', '--wait', '--pipe', '--property=BindsTo=bringup.service'] as const),
		`--property=RuntimeMaxSec=${limit}`,
		`--property=TimeoutStopSec=${grace}`,
		`--description=${why}`,
		...variables,
		'--',
		program,
		...args.map(arg => arg.replaceAll('$', () => '$$')),
	];
}

async function wait(until: Command, seconds: number, say: Say): Promise<void> {
	const begin = performance.now();
	const left = () => seconds - (performance.now() - begin) / 1000;
	const quiet = tell({limit: seconds, say}, until.join(' '));
	try {
		for (;;) {
			try {
				await run(until, {limit: Math.max(left(), 10), say: () => {}});
				return;
			} catch (error) {
				if (left() <= 0) {
					const lines = error instanceof CommandError ? error.lines.join('\n') : String(error);
					throw new CommandError(until, `did not succeed within ${seconds} s`, lines, {cause: error});
				}
				await sleep(250);
			}
		}
	} finally {
		quiet();
	}
}

/** A way to the machine. */
export interface OpenDoor extends Door {
	apply(step: Step, say?: Say): Promise<void>;
}

/**
 * The real machine. Confined is how bringup.service sees it, which may look at everything and change little: a program
 * that changes something, or that is run as another user, is run in a unit of its own. `say` is told what takes long.
 */
export function openDoor(say: Say, {confined}: {confined: boolean}): OpenDoor {
	return {
		probe: {
			...files,
			output(command) {
				const inside = confined && /^(runuser|setpriv)$/.test(command[0]);
				return run(command, {
					limit: questionSeconds,
					say,
					...(inside ? {as: inUnit(command, 'ask', questionSeconds)} : {}),
				});
			},
		},
		async apply(step, sayMore = say) {
			if (step.do !== 'run') return apply(step, sayMore);
			const limit = step.seconds ?? limitOf(step.command);
			const as = confined ? {as: inUnit(step.command, step.why, limit)} : {};
			await checkDisks(step.on ?? []);
			await run(step.command, {limit, say: sayMore, input: step.stdin, changes: true, ...as});
		},
	};
}

const toStandardError = (line: string) => void process.stderr.write(`bringup: ${line}\n`);

/** The real machine, asked. */
export const machineProbe: Probe = openDoor(toStandardError, {confined: false}).probe;

/** Performs one step on the machine; says what it waits for. Throws a CommandError when a program fails. */
export async function apply(step: Step, say: Say): Promise<void> {
	switch (step.do) {
		case 'run':
			return openDoor(say, {confined: false}).apply(step);
		case 'write':
			return writeDurably(step.path, step.content, step.mode);
		case 'fetch':
			return fetchFile(step, say);
		case 'wait':
			return wait(step.until, step.seconds, say);
		case 'reboot': {
			const command = ['systemctl', '--no-block', step.kexec ? 'kexec' : 'reboot'] as const;
			await run(command, {limit: limitOf(command), say});
		}
	}
}
