import {closeSync, constants, openSync, writeSync} from 'node:fs';
import type {Probe} from './phase.ts';

/** Writes a line to a terminal; gives up after a second on one that takes nothing. Opened for each line: a login prompt that starts hangs up whoever had it open. */
function writeLine(path: string, line: string): void {
	const fd = openSync(path, constants.O_WRONLY | constants.O_NOCTTY | constants.O_NONBLOCK);
	try {
		let rest = Buffer.from(`${line}\r\n`);
		for (const end = Date.now() + 1000; rest.length > 0 && Date.now() < end; ) {
			try {
				rest = rest.subarray(writeSync(fd, rest));
			} catch (error) {
				if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
				Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
			}
		}
	} finally {
		closeSync(fd);
	}
}

/** A writer to every console of the kernel, screen and serial port alike; only the last one is /dev/console. */
export async function findConsoles(probe: Probe): Promise<(line: string) => void> {
	const names = (await probe.read('/sys/class/tty/console/active'))?.trim().split(' ').filter(Boolean) ?? [];
	return line => {
		for (const name of names) {
			try {
				writeLine(`/dev/${name}`, line);
			} catch {
				// A console that is gone must not stop an install; the line is in the journal.
			}
		}
	};
}
