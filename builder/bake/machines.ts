import {join} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {type Machine, startMachine} from '../boot/machine.ts';
import type {DiskOptions, Firmware, MachineOptions} from '../boot/qemu.ts';
import type {CompleteProfile} from '../profile/complete.ts';
import type {Update} from '../progress.ts';
import {ProgramError, UserError} from '../run.ts';

/**
 * What a machine says when one of its emulated processors runs what another has patched meanwhile in its kernel: a fault
 * of QEMU without KVM, now and then. A machine with one processor has none of it.
 */
export const emulatorFault = /Oops: int3/;

/** What no machine may say. */
export const failure = /FAILED in phase.*|bringup: error: .*|Kernel panic.*|emergency mode.*/;

/** What the machines of a bake share. */
export interface Bench {
	/** For their files; gone at the end. */
	work: string;
	/** Where what a person needs to see is kept when one fails. */
	evidence: string;
	signal: AbortSignal;
}

/** The firmware that a profile's disk is installed under, and the others that it must boot under. */
export function listFirmwares({machine, install}: CompleteProfile['fields']): [Firmware, ...Firmware[]] {
	const uefi: Firmware = machine.secureBoot ? 'uefi-secure-boot' : 'uefi';
	if (!machine.firmware.includes('uefi')) return ['bios'];
	return install.firmware === 'both' && machine.firmware.includes('bios') ? [uefi, 'bios'] : [uefi];
}

type Given = Pick<
	MachineOptions,
	'firmware' | 'cpus' | 'cdrom' | 'cdromFirst' | 'kernel' | 'once' | 'sshPort' | 'wires' | 'uuid'
> & {
	name: string;
	disk: DiskOptions;
	mac?: string;
	/** In MiB. */
	memory?: number;
};

/** What was asked of a machine, and what it said. */
function describe(error: unknown): string {
	if (!(error instanceof ProgramError)) return error instanceof Error ? error.message : String(error);
	const asked = error.command.slice(error.command.indexOf('--') + 1).join(' ');
	return `${asked} in the machine ${error.message.replace(/^ssh /, '')}:\n${error.output.trim().slice(-2000)}`;
}

/** Starts a machine that reaches nothing outside, and does what is to be done with it; cut off when that fails or is interrupted. */
export async function withMachine<T>(
	{name, disk, mac = '52:54:00:62:75:01', memory = 2048, ...options}: Given,
	{work, evidence, signal}: Bench,
	use: (machine: Machine) => Promise<T>,
): Promise<T> {
	signal.throwIfAborted();
	const folder = join(work, name);
	const rest = {...options, memory, mac, folder, disks: [disk], isolated: true, snapshot: false};
	const machine = await startMachine(rest);
	const cut = () => void machine.cut();
	signal.addEventListener('abort', cut);
	try {
		return await use(machine);
	} catch (error) {
		if (signal.aborted) throw error;
		await machine.keepEvidence(join(evidence, name));
		throw new UserError(`${describe(error)}\nits serial log and its screen: ${join(evidence, name)}`, {cause: error});
	} finally {
		signal.removeEventListener('abort', cut);
		await machine.cut();
	}
}

/** Waits until the machine has said it and switched itself off. Throws with its last lines when it fails, or the time is over. */
export async function runToEnd(machine: Machine, done: RegExp, minutes: number, update: Update): Promise<void> {
	const end = Date.now() + minutes * 60_000;
	for (;;) {
		const running = machine.running;
		const serial = await machine.readSerial();
		const steps = [...serial.matchAll(/^(?:bringup: )?phase (\S+ \(\d+\/\d+\): .*)$/gm)];
		update(steps.at(-1)?.[1] ?? 'starting');
		const bad = failure.exec(serial);
		if (bad) await sleep(5000); // what follows says why
		const last = async () => (await machine.readSerial()).slice(-2500).trim();
		if (bad) throw new Error(`the machine says "${bad[0]}":\n${await last()}`);
		if (!running && done.test(serial)) return;
		if (!running) throw new Error(`the machine ended before it was done:\n${await last()}`);
		if (Date.now() > end) throw new Error(`the machine was not done after ${minutes} minutes:\n${await last()}`);
		await sleep(250);
	}
}
