import {createWriteStream} from 'node:fs';
import {rm} from 'node:fs/promises';
import {dirname} from 'node:path';
import {Readable} from 'node:stream';
import {pipeline} from 'node:stream/promises';
import {pack} from 'tar-stream';
import type {FileTree} from '../render/tree.ts';
import {run} from '../run.ts';

function listFolders(paths: Iterable<string>): string[] {
	const folders = new Set<string>();
	for (const path of paths) {
		for (let folder = dirname(path); folder !== '.'; folder = dirname(folder)) folders.add(folder);
	}
	return [...folders].sort();
}

/** Packs files into a tar, all owned by root, folders 0755, dated by the epoch. The paths are those on the machine, without the leading slash. */
export async function packFiles(files: FileTree, tar: string, epoch: number): Promise<void> {
	const mtime = new Date(epoch * 1000);
	const archive = pack();
	for (const folder of listFolders(files.keys()))
		archive.entry({name: `${folder}/`, type: 'directory', mode: 0o755, mtime});
	for (const [name, {content, mode}] of files) archive.entry({name, mode, mtime}, content);
	archive.finalize();
	await pipeline(Readable.from(archive), createWriteStream(tar, {mode: 0o600}));
}

/** Packs files into a squashfs, as packFiles does. */
export async function buildLayer(files: FileTree, path: string, epoch: number): Promise<void> {
	const tar = `${path}.tar`;
	await packFiles(files, tar, epoch);
	const command = [
		'mksquashfs',
		'-',
		path,
		'-tar',
		'-comp',
		'zstd',
		'-no-progress',
		'-quiet',
		'-root-mode',
		'0755',
	] as const;
	await run(command, {inputFile: tar, env: {SOURCE_DATE_EPOCH: String(epoch)}});
	await rm(tar);
}
