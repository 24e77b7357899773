import {closeSync, constants, fstatSync, openSync, readFileSync, readlinkSync, realpathSync} from 'node:fs';

const most = 64 * 2 ** 20;

/** The home that a path lies in, where its owner decides what stands at each place; undefined of any other path. */
export function findHome(path: string): string | undefined {
	return /^\/home\/[^/]+(?=\/.)/.exec(path)?.[0];
}

/**
 * Reads a file in somebody's home. Its owner may put a FIFO there, a link to another user's file or a file without end,
 * and root would follow: only a plain file is read, at this very place. Throws as open(2) does where there is none.
 */
export function readInHome(path: string, home: string): string {
	const refuse = (what: string) =>
		new Error(`${path} ${what}, and root does not follow it; remove it and run: systemctl restart bringup`);
	const real = `${realpathSync(home)}${path.slice(home.length)}`;
	let file: number;
	try {
		file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY);
	} catch (error) {
		const {code} = error as NodeJS.ErrnoException;
		if (code === 'ELOOP') throw refuse('is a symbolic link');
		if (code === 'ENXIO') throw refuse('is no plain file');
		throw error;
	}
	try {
		const stat = fstatSync(file);
		if (!stat.isFile()) throw refuse('is no plain file');
		if (readlinkSync(`/proc/self/fd/${file}`) !== real) throw refuse('lies behind a symbolic link');
		if (stat.size > most) throw refuse(`is larger than ${most / 2 ** 20} MiB`);
		return readFileSync(file, 'utf8');
	} finally {
		closeSync(file);
	}
}
