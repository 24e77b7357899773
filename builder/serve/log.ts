import {closeSync, fstatSync, openSync, renameSync, writeSync} from 'node:fs';
import {printable} from '../printable.ts';

/** A log for people; what is in it came over the wire. */
export interface Log {
	write(text: string): void;
	close(): void;
}

/** Opens a log that goes on where it ended. When it is so large it becomes FILE.1, in the place of the one before. */
export function openLog(path: string, largest: number): Log {
	const open = () => openSync(path, 'a', 0o600);
	let file = open();
	return {
		write(text) {
			if (fstatSync(file).size >= largest) {
				closeSync(file);
				renameSync(path, `${path}.1`);
				file = open();
			}
			writeSync(file, printable(text));
		},
		close: () => closeSync(file),
	};
}

const again = 10 * 60_000;
const most = 30;

/**
 * Says a thing at most once in ten minutes, and not more than thirty things a minute; the rest goes to the log alone.
 * Whoever is on the wire can make us say something, and must not hide by that what others say.
 */
export function makeTeller(
	say: (line: string) => void,
	log: (line: string) => void,
	clock: () => number = Date.now,
): (about: string, line: string) => void {
	const told = new Map<string, number>();
	let [minute, lines] = [0, 0];
	return (about, line) => {
		const now = clock();
		if (now - (told.get(about) ?? Number.NEGATIVE_INFINITY) < again) return;
		if (told.size >= 10_000) told.clear();
		told.set(about, now);
		if (Math.floor(now / 60_000) !== minute) [minute, lines] = [Math.floor(now / 60_000), 0];
		lines++;
		if (lines <= most) say(line);
		else log(line);
		if (lines === most) say('more of this minute is in serve.log');
	};
}
