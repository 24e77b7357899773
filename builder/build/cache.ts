import {createHash} from 'node:crypto';
import {createReadStream} from 'node:fs';
import {readdir, readFile, rename, rm, stat, statfs} from 'node:fs/promises';
import {basename, dirname, join} from 'node:path';
import {pipeline} from 'node:stream/promises';
import {makeFolder, touch, withFolder} from '../folder.ts';
import {UserError} from '../run.ts';
import {type Mac, readOwn, writeOwn} from './mac.ts';

/** Digest of a file, streamed; hexadecimal. */
export async function digestFile(path: string): Promise<string> {
	const hash = createHash('sha256');
	await pipeline(createReadStream(path, {highWaterMark: 2 ** 20}), hash);
	return hash.digest('hex');
}

/** Digest of anything that JSON can hold; hexadecimal. */
export function digestOf(value: unknown): string {
	return createHash('sha256').update(JSON.stringify(value)).digest('hex');
}

/**
 * Where a root file system is put together: where TMPDIR says, else in memory where there is room for it, which is a third
 * faster, else in /var/tmp. Throws a UserError where there is no room, or where its programs could not work.
 */
export async function findWorkFolder(bytes: number, wanted: string | undefined): Promise<string> {
	const memory = /^MemAvailable: +(\d+) kB$/m.exec(await readFile('/proc/meminfo', 'utf8').catch(() => ''))?.[1];
	const hasMemory = Number(memory ?? 0) * 1024 > 2 * bytes;
	const room = async (folder: string) => {
		const found = await statfs(folder).catch(() => undefined);
		return found ? found.bavail * found.bsize : 0;
	};
	if (wanted === undefined && hasMemory && (await room('/dev/shm')) > bytes) return '/dev/shm';
	const folder = wanted ?? '/var/tmp';
	const free = await room(folder);
	const inGiB = (size: number) => (size / 2 ** 30).toFixed(1);
	if (free < bytes)
		throw new UserError(
			`a root file system takes about ${inGiB(bytes)} GiB while it is made, and ${folder} has ${inGiB(free)} GiB free; free some, or name another folder: TMPDIR=/somewhere`,
		);
	if (/[^\w./+@:,=~-]/.test(folder))
		throw new UserError(`mmdebstrap does not work below ${folder}: set TMPDIR to a folder without a space in its path`);
	return folder;
}

/** Of an entry's files; it is this user's own word, and not the cache's. */
const list = 'digests.json';

type Digests = Record<string, {sha256: string; size: number; mtimeMs: number}>;

/** The cache does not hold what was put there. */
export class DamagedCache extends Error {}

/** A finished set of files in the cache. */
export interface CacheEntry {
	folder: string;
	digests: Digests;
	/** Checks every byte; false when the entry is damaged. */
	verify(): Promise<boolean>;
}

async function openEntry(folder: string, mac: Mac): Promise<CacheEntry | undefined> {
	const digests = await readOwn<Digests>(join(folder, list), mac);
	if (digests === undefined) return undefined;
	for (const [name, {size, mtimeMs}] of Object.entries(digests)) {
		const found = await stat(join(folder, name)).catch(() => undefined);
		if (found?.size !== size || found.mtimeMs !== mtimeMs) return undefined;
	}
	const verify = async () => {
		const names = Object.entries(digests);
		const right = await Promise.all(
			names.map(async ([name, {sha256}]) => (await digestFile(join(folder, name))) === sha256),
		);
		return right.every(Boolean);
	};
	await touch(folder);
	return {folder, digests, verify};
}

/** Puts a finished entry into its place, unless another build has put a whole one there meanwhile. */
async function moveInto(folder: string, finished: string, mac: Mac): Promise<void> {
	const taken = (error: NodeJS.ErrnoException) => {
		if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
		return true;
	};
	if (!(await rename(finished, folder).catch(taken))) return;
	if (await openEntry(folder, mac)) return;
	await discardEntry(folder);
	await rename(finished, folder).catch(taken);
}

/**
 * The cache entry of this key, made when it is not there, its files are not as they were left, or this user did not make it.
 * Two builds at once may both make it; one of the two is kept. An interrupted one leaves nothing.
 */
export async function fetchEntry(
	folder: string,
	mac: Mac,
	make: (folder: string) => Promise<void>,
): Promise<{entry: CacheEntry; made: boolean}> {
	const cached = await openEntry(folder, mac);
	if (cached) return {entry: cached, made: false};
	await withFolder(dirname(folder), async temporary => {
		await make(temporary);
		const digests: Digests = {};
		for (const name of await readdir(temporary)) {
			const {size, mtimeMs} = await stat(join(temporary, name));
			digests[name] = {sha256: await digestFile(join(temporary, name)), size, mtimeMs};
		}
		await writeOwn(join(temporary, list), digests, mac, join(folder, list));
		await moveInto(folder, temporary, mac);
	});
	const entry = await openEntry(folder, mac);
	if (!entry) throw new Error(`the cache entry ${basename(folder)} was not whole right after it was made`);
	return {entry, made: true};
}

/** Removes an entry; renamed first, so that nobody opens half of it. */
export async function discardEntry(folder: string): Promise<void> {
	const away = await makeFolder(dirname(folder)); // empty, so that a folder can be renamed onto it
	await rename(folder, away).catch(() => {});
	await rm(away, {recursive: true, force: true});
}

/** Reads a file of an entry, and checks what was read: nobody who can write the cache changes it after that. Throws where it is not what was put there. */
export async function readVerified({folder, digests}: CacheEntry, name: string): Promise<Buffer> {
	const content = await readFile(join(folder, name));
	if (createHash('sha256').update(content).digest('hex') !== digests[name]?.sha256) throw new DamagedCache();
	return content;
}
