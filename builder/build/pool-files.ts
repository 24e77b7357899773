import {rename, stat} from 'node:fs/promises';
import {basename, join} from 'node:path';
import {touch, withFolder} from '../folder.ts';
import {ProgramError, runLong} from '../run.ts';
import {giveToApt} from './apt.ts';
import {digestFile} from './cache.ts';
import type {Index} from './lists.ts';

/** A file of the archive's pool. */
export interface PoolFile {
	/** Below the mirror: pool/main/… */
	file: string;
	/** Hexadecimal; without it the mirror is trusted once, and what it gave is pinned. */
	sha256?: string | undefined;
	/** Its name in the cache, where that is not the one in the pool. */
	as?: string;
}

/** The value of a field of a stanza. */
export function readField(stanza: string, name: string): string {
	return new RegExp(`^${name}: (.*)$`, 'm').exec(stanza)?.[1] ?? '';
}

/** Where the cache keeps a file of the pool. */
export const poolPath = (cache: string, file: string, as?: string) => join(cache, 'packages', as ?? basename(file));

async function isThere(path: string, sha256: string | undefined): Promise<boolean> {
	const found = await stat(path).catch(() => undefined);
	if (found === undefined || sha256 === undefined || (await digestFile(path)) !== sha256) return false;
	await touch(path);
	return true;
}

/** Downloads files of the pool with apt's own downloader; gives those that the mirror does not have, or has otherwise. */
export async function fetchPoolFiles<File extends PoolFile>(
	index: Pick<Index, 'folder' | 'debian'>,
	files: readonly File[],
	{cache, signal, mirror = index.debian.mirror}: {cache: string; signal?: AbortSignal | undefined; mirror?: string},
): Promise<File[]> {
	const missing: File[] = [];
	for (const wanted of files)
		if (!(await isThere(poolPath(cache, wanted.file, wanted.as), wanted.sha256))) missing.push(wanted);
	if (missing.length === 0) return [];
	const base = mirror.replace(/\/$/, '');
	// A folder of its own: process ids of two containers are the same.
	return withFolder(join(cache, 'packages'), async work => {
		await giveToApt(work);
		const parts = missing.map((wanted, position) => ({wanted, path: join(work, String(position))}));
		const triples = parts.flatMap(({wanted, path}) => [
			`${base}/${wanted.file}`,
			path,
			wanted.sha256 === undefined ? '' : `SHA256:${wanted.sha256}`,
		]);
		// It goes on after one that fails, and what came is looked at here.
		await runLong(['/usr/lib/apt/apt-helper', 'download-file', ...triples], {
			env: {APT_CONFIG: join(index.folder, 'apt.conf')},
			signal,
		}).catch(error => {
			if (!(error instanceof ProgramError) || signal?.aborted) throw error;
		});
		const failed: File[] = [];
		for (const {wanted, path} of parts) {
			const came = (await stat(path).catch(() => undefined))?.isFile() ?? false;
			const right = came && (wanted.sha256 === undefined || (await digestFile(path)) === wanted.sha256);
			if (right) await rename(path, poolPath(cache, wanted.file, wanted.as));
			else failed.push(wanted);
		}
		return failed;
	});
}
