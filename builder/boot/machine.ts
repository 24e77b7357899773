import {access, chmod, copyFile, mkdir, open, readFile, rm, writeFile} from 'node:fs/promises';
import {createServer} from 'node:net';
import {join} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {run, type Started, start, UserError} from '../run.ts';
import {findAccelerator} from './accel.ts';
import {findVariables, listQemuArguments, type MachineOptions} from './qemu.ts';
import {sendQmp} from './qmp.ts';

/** How to log in to a machine. */
export interface Login {
	user: string;
	/** Path of the private key. */
	key: string;
}

const quote = (word: string) => `'${word.replaceAll("'", "'\\''")}'`;

/** A virtual machine from power-on to power-off. */
export class Machine {
	readonly options: MachineOptions;
	readonly serialLog: string;
	readonly #qemu: Started;
	readonly #qmp: string;
	#running = true;
	#exit = '';
	#seen = 0;

	constructor(options: MachineOptions, qemu: Started) {
		this.options = options;
		this.serialLog = join(options.folder, 'serial.log');
		this.#qmp = join(options.folder, 'qmp.sock');
		this.#qemu = qemu;
		qemu.ended.then(({exitCode, output}) => {
			this.#running = false;
			this.#exit = `QEMU has ended with ${exitCode}\n${output}`;
		});
	}

	/** Settles when QEMU has ended, by itself or not. */
	get ended(): Promise<unknown> {
		return this.#qemu.ended;
	}

	get running(): boolean {
		return this.#running;
	}

	/** Everything that the machine has written to its serial port, without terminal colours. */
	async readSerial(): Promise<string> {
		const text = await readFile(this.serialLog, 'utf8').catch(() => '');
		// biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences are what is removed
		return text.replace(/\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>()][0-9A-B]?|\r/g, '');
	}

	/**
	 * Waits for text on the serial port after what was waited for before; gives the match.
	 * Throws when the time (seconds) is over, QEMU ends, or `unless` appears first.
	 */
	async waitFor(text: RegExp, seconds: number, unless?: RegExp): Promise<RegExpExecArray> {
		const end = Date.now() + seconds * 1000;
		for (;;) {
			const running = this.#running;
			const serial = (await this.readSerial()).slice(this.#seen);
			const found = text.exec(serial);
			const bad = unless?.exec(serial);
			if (bad && (!found || bad.index < found.index)) {
				await sleep(5000); // what follows says why
				const after = (await this.readSerial()).slice(this.#seen);
				throw new Error(`the machine said "${bad[0]}" while waiting for ${text}\n${after.slice(-3000)}`);
			}
			if (found) {
				this.#seen += found.index + found[0].length;
				return found;
			}
			if (!running) throw new Error(`${this.#exit}\nwhile waiting for ${text}`);
			if (Date.now() > end)
				throw new Error(`${text} was not on the serial port within ${seconds} s; its end is\n${serial.slice(-3000)}`);
			await sleep(250);
		}
	}

	/** Runs a program in the machine over SSH, with standard input where given, and gives its standard output. Throws a ProgramError when it fails. */
	async run(login: Login, command: readonly string[], input?: string): Promise<string> {
		const settings = [
			'StrictHostKeyChecking=no',
			'UserKnownHostsFile=/dev/null',
			'LogLevel=ERROR',
			'BatchMode=yes',
			'ConnectTimeout=60',
			'ServerAliveInterval=60', // a guest that hangs is given up after ten minutes
			'ServerAliveCountMax=10',
			'IdentitiesOnly=yes',
		];
		const where = ['-i', login.key, '-p', String(this.options.sshPort), `${login.user}@127.0.0.1`];
		const options = settings.flatMap(setting => ['-o', setting]);
		const given = input === undefined ? {} : {input};
		return run(['ssh', ...options, ...where, '--', ...command.map(quote)], given);
	}

	/** Presses the power button. Throws when the machine does not switch itself off in that time (seconds). */
	async powerOff(seconds: number): Promise<void> {
		await sendQmp(this.#qmp, 'system_powerdown');
		let cut = false;
		const timer = setTimeout(() => {
			cut = true;
			this.#qemu.kill('SIGKILL');
		}, seconds * 1000);
		await this.#qemu.ended;
		clearTimeout(timer);
		if (cut) throw new Error(`the machine did not switch itself off within ${seconds} s`);
	}

	/** Cuts the power. */
	async cut(): Promise<void> {
		this.#qemu.kill('SIGKILL');
		await this.#qemu.ended;
	}

	/** Keeps what a person needs to see why it failed: the serial log, the screen, the command. */
	async keepEvidence(folder: string): Promise<void> {
		await mkdir(folder, {recursive: true});
		await copyFile(this.serialLog, join(folder, 'serial.log')).catch(() => {});
		await writeFile(join(folder, 'qemu.txt'), `${listQemuArguments(this.options).join('\n')}\n${this.#exit}\n`);
		if (!this.#running) return;
		await sendQmp(this.#qmp, 'screendump', {filename: join(folder, 'screen.png'), format: 'png'}).catch(() => {});
	}
}

async function prepare(options: MachineOptions): Promise<void> {
	await mkdir(options.folder, {recursive: true});
	await rm(join(options.folder, 'qmp.sock'), {force: true});
	const variables = findVariables(options);
	if (!variables) return;
	const there = await access(variables.own).then(
		() => true,
		() => false,
	);
	if (there) return;
	await copyFile(variables.template, variables.own).catch(error => {
		if (error.code !== 'ENOENT') throw error;
		throw new UserError(`${variables.template} is not there. Install it: apt-get install ovmf`, {cause: error});
	});
}

/** Switches a machine on. Its folder keeps the firmware's variables from one time to the next. */
export async function startMachine(given: Omit<MachineOptions, 'accelerator'>): Promise<Machine> {
	const options = {...given, accelerator: await findAccelerator()};
	await prepare(options);
	const serial = await open(join(options.folder, 'serial.log'), 'w');
	await serial.close();
	return new Machine(options, start(listQemuArguments(options)));
}

/** Runs a machine on this terminal until it is switched off, or the signal ends it. Throws a UserError when QEMU fails; it has said why. */
export async function runInteractive(given: Omit<MachineOptions, 'accelerator'>, signal: AbortSignal): Promise<void> {
	const options = {...given, accelerator: await findAccelerator()};
	await prepare(options);
	const qemu = start(listQemuArguments(options), {terminal: true});
	signal.addEventListener('abort', () => qemu.kill('SIGTERM'));
	const {exitCode} = await qemu.ended;
	if (exitCode !== 0 && !signal.aborted) throw new UserError(`QEMU has ended with ${exitCode}`);
}

/** A TCP port of 127.0.0.1 that nobody uses. */
export async function findPort(): Promise<number> {
	const server = createServer();
	await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
	const {port} = server.address() as {port: number};
	await new Promise(resolve => server.close(resolve));
	return port;
}

/** Makes an empty disk that takes space only as it is filled. Size as qemu-img takes it: 20G. */
export async function makeDisk(path: string, size: string, format: 'raw' | 'qcow2' = 'qcow2'): Promise<void> {
	await run(['qemu-img', 'create', '-q', '-f', format, path, size]);
	await chmod(path, 0o600); // what is installed on it has the secrets of the profile
}
