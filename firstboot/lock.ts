import {closeSync, constants, fchmodSync, ftruncateSync, mkdirSync, openSync, readFileSync, writeSync} from 'node:fs';
import {dirname} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {lockFile} from './apply.ts';

/** Gone with the next boot, as whoever held it. */
const lockPath = '/run/bringup/lock';

/** Who changes the machine. */
interface Holder {
	command: string;
	pid: number;
	since: string;
}

/** Who holds the lock, for a person. What a process left behind that ended names nobody who still runs. */
function describeHolder(path: string): string {
	try {
		const {command, pid, since} = JSON.parse(readFileSync(path, 'utf8')) as Holder;
		return `bringup ${command} (process ${pid}, since ${since})`;
	} catch {
		return 'another run of bringup';
	}
}

/** Takes the lock if nobody has it; see takeLock. */
export async function takeLockNow(command: string, path: string = lockPath): Promise<boolean> {
	mkdirSync(dirname(path), {recursive: true});
	const file = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600);
	if (!(await lockFile(file))) {
		closeSync(file);
		return false;
	}
	fchmodSync(file, 0o600);
	ftruncateSync(file);
	const holder: Holder = {command, pid: process.pid, since: new Date().toISOString()};
	writeSync(file, `${JSON.stringify(holder)}\n`, 0);
	return true; // the file stays open: the kernel lets go when this process ends, however it does
}

/** How long somebody waits for the lock, and where it is. */
export interface LockOptions {
	/** Seconds until it is given up. */
	patience: number;
	say: (line: string) => void;
	path?: string;
}

/**
 * Makes sure that nobody else changes this machine until this process ends: provision, by hand or by the service, install
 * and template. Who else would must wait, and is told for whom. Without it are: what only asks (plan, status, the
 * snapshot), start-k3s, for which a run of provision waits, and restore, which must not wait for a run that hangs: of a
 * trial and its end, whoever renames the saved folder first has it (trial.ts).
 */
export async function takeLock(command: string, {patience, say, path = lockPath}: LockOptions): Promise<void> {
	const began = performance.now();
	for (let told = false; !(await takeLockNow(command, path)); told = true) {
		const holder = describeHolder(path);
		if (performance.now() - began >= patience * 1000)
			throw new Error(
				`${holder} is changing this machine; nothing was done. Wait for its end (bringup status tells of it), and run this again`,
			);
		if (!told) say(`bringup: waiting for ${holder}, which is changing this machine`);
		await sleep(500);
	}
}
