import {createWriteStream} from 'node:fs';
import {rm} from 'node:fs/promises';
import {dirname} from 'node:path';
import {Readable} from 'node:stream';
import {pipeline} from 'node:stream/promises';
import {pack} from 'tar-stream';
import type {FileTree} from '../render/tree.ts';
import {type Command, run} from '../run.ts';

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

const plain = ['-tar', '-comp', 'zstd', '-no-progress', '-quiet', '-root-mode', '0755'];

/**
 * The command that packs a tar archive, on its standard input, into a squashfs. Whoever packs, its folder / is of root and
 * 0755: mksquashfs -tar takes the owner from its caller, and the mode 0777, whatever the archive says.
 */
export function packCommand(path: string, options: readonly string[] = []): Command {
	const command = ['mksquashfs', '-', path, ...plain, ...options] as const;
	return process.getuid?.() === 0 ? command : ['unshare', '--map-root-user', ...command];
}

/** Packs files into a squashfs, as packFiles does. */
export async function buildLayer(files: FileTree, path: string, epoch: number): Promise<void> {
	const tar = `${path}.tar`;
	await packFiles(files, tar, epoch);
	await run(packCommand(path), {inputFile: tar, env: {SOURCE_DATE_EPOCH: String(epoch)}});
	await rm(tar);
}
