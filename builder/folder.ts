import {lstat, mkdir, mkdtemp, readdir, rm} from 'node:fs/promises';
import {join} from 'node:path';

const isAlive = (pid: number) => {
	try {
		process.kill(pid, 0);
		return true;
	} catch (error) {
		return (error as NodeJS.ErrnoException).code === 'EPERM';
	}
};

/** Removes what a process of this user that was killed outright has left; by the exact form of mkdtemp below, and nothing else. */
async function removeAbandoned(folder: string): Promise<void> {
	for (const name of await readdir(folder).catch(() => [])) {
		const pid = /^\.bringup-(\d+)-[A-Za-z0-9]{6}$/.exec(name)?.[1];
		if (pid === undefined || isAlive(Number(pid))) continue;
		const path = join(folder, name);
		const found = await lstat(path).catch(() => undefined);
		if (!found?.isDirectory() || found.uid !== process.getuid?.()) continue;
		await rm(path, {recursive: true, force: true}).catch(() => {}); // it is in nobody's way
	}
}

/** Makes an empty folder that the next run removes if this process does not. */
export async function makeFolder(parent: string): Promise<string> {
	await mkdir(parent, {recursive: true});
	await removeAbandoned(parent);
	return mkdtemp(join(parent, `.bringup-${process.pid}-`));
}

/** Runs with a new empty folder and removes it after, however it ends. */
export async function withFolder<T>(parent: string, use: (folder: string) => Promise<T>): Promise<T> {
	const folder = await makeFolder(parent);
	try {
		return await use(folder);
	} finally {
		// A failure to clean up must not hide what went wrong; the next run cleans up too.
		await rm(folder, {recursive: true, force: true}).catch(() => {});
	}
}
