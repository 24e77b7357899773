import {lstat, readdir, rm} from 'node:fs/promises';
import {join} from 'node:path';
import {removeAbandoned} from '../folder.ts';
import {withLock} from '../run.ts';
import {discardEntry} from './cache.ts';

/** What a cache holds, by the exact form of the names: whatever else is in its folder is not ours. */
const kinds: readonly (readonly [folder: string, names: RegExp])[] = [
	['base', /^[0-9a-f]{32}$/],
	['layers', /^[0-9a-f]{32}$/],
	['installer', /^[0-9a-f]{32}$/],
	['apt', /^[0-9a-f]{16}$/],
	['apt/keys', /^[0-9a-f]{16}(\.\w+)?$/],
	['packages', /^[\w.+~%-]+\.u?deb$/],
	['assets', /^[0-9a-f]{64}(\.part|\.lock)?$/],
	['built', /^[0-9a-f]{16}\.json$/],
	['silent', /^[0-9a-f]{16}\.json$/],
];

/** A thing in a cache that builds can make or fetch again. */
export interface CacheItem {
	kind: string;
	/** Below the folder of the cache. */
	path: string;
	/** On the disk. */
	bytes: number;
	/** When a build last used it; milliseconds since 1970. */
	used: number;
}

async function measure(path: string): Promise<{bytes: number; used: number}> {
	const {blocks, ctimeMs} = await lstat(path);
	const names = await readdir(path, {recursive: true}).catch(() => []);
	const inside = await Promise.all(names.map(name => lstat(join(path, name))));
	return {bytes: inside.reduce((sum, found) => sum + found.blocks, blocks) * 512, used: ctimeMs};
}

/** Everything in a cache, the longest unused first. */
export async function listCache(cache: string): Promise<CacheItem[]> {
	const lists = kinds.map(async ([kind, pattern]) => {
		const names = (await readdir(join(cache, kind)).catch(() => [])).filter(name => pattern.test(name));
		return Promise.all(
			names.map(async name => ({kind, path: join(kind, name), ...(await measure(join(cache, kind, name)))})),
		);
	});
	return (await Promise.all(lists)).flat().sort((a, b) => a.used - b.used);
}

/** Removes things of a cache while no build uses it. Throws a UserError where one does. */
export async function cleanCache(cache: string, isUnneeded: (item: CacheItem) => boolean): Promise<CacheItem[]> {
	const busy = `a build uses ${cache} at this moment; run this again when it has ended`;
	return withLock(join(cache, 'lock'), busy, async () => {
		const items = (await listCache(cache)).filter(isUnneeded);
		for (const {path} of items) {
			const found = await lstat(join(cache, path));
			await (found.isDirectory() ? discardEntry(join(cache, path)) : rm(join(cache, path)));
		}
		for (const [folder] of kinds) await removeAbandoned(join(cache, folder));
		return items;
	});
}
