import {mkdir, mkdtemp, readdir, rm} from 'node:fs/promises';
import {join} from 'node:path';

const isAlive = (pid: number) => {
	try {
		process.kill(pid, 0);
		return true;
	} catch (error) {
		return (error as NodeJS.ErrnoException).code === 'EPERM';
	}
};

/** Removes what a build that was killed outright has left in a folder. */
async function removeAbandoned(folder: string): Promise<void> {
	for (const name of await readdir(folder).catch(() => [])) {
		const pid = /^\.?bringup-(\d+)-/.exec(name)?.[1];
		if (pid !== undefined && !isAlive(Number(pid))) await rm(join(folder, name), {recursive: true, force: true});
	}
}

/** Runs with a new empty folder and removes it after, however it ends. */
export async function withFolder<T>(parent: string, use: (folder: string) => Promise<T>): Promise<T> {
	await mkdir(parent, {recursive: true});
	await removeAbandoned(parent);
	const folder = await mkdtemp(join(parent, `.bringup-${process.pid}-`));
	try {
		return await use(folder);
	} finally {
		await rm(folder, {recursive: true, force: true});
	}
}
