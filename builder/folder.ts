import {createHash, randomBytes} from 'node:crypto';
import {readFileSync, readlinkSync, renameSync} from 'node:fs';
import {lstat, mkdir, mkdtemp, open, readdir, rm, statfs, utimes} from 'node:fs/promises';
import {dirname, join} from 'node:path';

const isAlive = (pid: number) => {
	try {
		process.kill(pid, 0);
		return true;
	} catch (error) {
		return (error as NodeJS.ErrnoException).code === 'EPERM';
	}
};

/** Where process ids mean what they mean here: this boot, this container. */
export const world = createHash('sha256')
	.update(readFileSync('/proc/sys/kernel/random/boot_id'))
	.update(readlinkSync('/proc/self/ns/pid'))
	.digest('hex')
	.slice(0, 8);

/** Nothing of another world can be asked whether it is alive; what has not changed for so long is not. */
const abandoned = 24 * 3600 * 1000;

/** Removes what a process of this user that was killed outright has left; by the exact form of the names below, and nothing else. */
export async function removeAbandoned(folder: string): Promise<void> {
	for (const name of await readdir(folder).catch(() => [])) {
		const [, where, pid] = /^\.bringup-([0-9a-f]{8})-(\d+)-[A-Za-z0-9]{6,12}$/.exec(name) ?? [];
		if (pid === undefined || (where === world && isAlive(Number(pid)))) continue;
		const path = join(folder, name);
		const found = await lstat(path).catch(() => undefined);
		if (!found || !(found.isDirectory() || found.isFile()) || found.uid !== process.getuid?.()) continue;
		if (where !== world && Date.now() - found.mtimeMs < abandoned) continue;
		await rm(path, {recursive: true, force: true}).catch(() => {}); // it is in nobody's way
	}
}

/** Makes an empty folder that the next run removes if this process does not. */
export async function makeFolder(parent: string): Promise<string> {
	await mkdir(parent, {recursive: true});
	await removeAbandoned(parent);
	return mkdtemp(join(parent, `.bringup-${world}-${process.pid}-`));
}

/** A disk that was full when something failed: which folder is on it; the cause is what failed. */
export class FullDiskError extends Error {
	readonly folder: string;

	constructor(folder: string, options: ErrorOptions) {
		super(`${folder} is full`, options);
		this.folder = folder;
	}
}

/** Fewer bytes than this, and a disk is full: a program may have removed some of what it wrote when it failed. */
const almostNothing = 64 * 2 ** 20;

/** Whether an error is of a disk without room, by its code or by the last words of a program. */
export function isFullDisk(error: unknown): boolean {
	const {code, output} = error as {code?: unknown; output?: unknown};
	return (
		['ENOSPC', 'EDQUOT'].includes(String(code)) ||
		/No space left on device|Disk quota exceeded|exceeds free space on media/.test(String(output ?? ''))
	);
}

/** Names the folder where an error is of its disk. What is in it is still there: removed, it would leave room. */
async function explainFull(error: unknown, folder: string): Promise<unknown> {
	if (error instanceof FullDiskError || !isFullDisk(error)) return error;
	const found = await statfs(folder).catch(() => undefined);
	const isFull = found && (found.bavail * found.bsize < almostNothing || (found.files > 0 && found.ffree < 100));
	return isFull ? new FullDiskError(dirname(folder), {cause: error}) : error;
}

/** Runs with a new empty folder and removes it after, however it ends. Throws a FullDiskError where its disk is what failed. */
export async function withFolder<T>(parent: string, use: (folder: string) => Promise<T>): Promise<T> {
	const folder = await makeFolder(parent);
	try {
		return await use(folder);
	} catch (error) {
		throw await explainFull(error, folder);
	} finally {
		// A failure to clean up must not hide what went wrong; the next run cleans up too.
		await rm(folder, {recursive: true, force: true}).catch(() => {});
	}
}

/** A new name in a folder, that no other process takes: a process id alone is not new, because each container has its own. */
const nameIn = (folder: string) => join(folder, `.bringup-${world}-${process.pid}-${randomBytes(6).toString('hex')}`);

/** Has what is written to a file or a folder reach the disk. */
async function syncPath(path: string): Promise<void> {
	const file = await open(path, 'r');
	await file.sync().finally(() => file.close());
}

/** Moves finished files into their places, in this order, each whole or not at all, whenever the power goes. */
export async function placeFiles(moves: readonly (readonly [made: string, place: string])[]): Promise<void> {
	for (const [made] of moves) await syncPath(made);
	for (const [made, place] of moves) renameSync(made, place); // nothing else comes between
	for (const folder of new Set(moves.map(([, place]) => dirname(place)))) await syncPath(folder);
}

/** Writes a file whole or not at all. */
export async function writeWhole(path: string, content: string | Uint8Array, mode = 0o644): Promise<void> {
	const folder = dirname(path);
	await mkdir(folder, {recursive: true});
	const temporary = nameIn(folder);
	try {
		const file = await open(temporary, 'wx', mode);
		await file.writeFile(content).finally(() => file.close());
		await placeFiles([[temporary, path]]);
	} finally {
		await rm(temporary, {force: true}).catch(() => {});
	}
}

/** What a file of JSON holds, or undefined when it is damaged. */
export function parseJson<T>(text: string): T | undefined {
	try {
		return JSON.parse(text) as T;
	} catch {
		return undefined;
	}
}

/** Notes that a file or a folder of a cache was used now (in its ctime), so that it is not cleaned away. It may be somebody else's. */
export async function touch(path: string): Promise<void> {
	const {mtime} = await lstat(path);
	await utimes(path, new Date(), mtime).catch(() => {});
}
