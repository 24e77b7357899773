import {createReadStream, createWriteStream} from 'node:fs';
import {readdir, rm} from 'node:fs/promises';
import {join, relative} from 'node:path';
import {pipeline} from 'node:stream/promises';
import {createGzip} from 'node:zlib';
import {run} from '../../run.ts';

/**
 * Appends a folder's files to an initramfs, as root's, dated by the epoch: the kernel unpacks one archive after another,
 * and what comes later stands. A folder may not have the name of a symbolic link there: the kernel would remove the link.
 */
export async function appendFiles(initramfs: string, folder: string, epoch: number): Promise<void> {
	await run(['find', folder, '-exec', 'touch', '--no-dereference', `--date=@${epoch}`, '{}', '+']);
	const entries = await readdir(folder, {recursive: true, withFileTypes: true});
	const paths = entries.map(entry => relative(folder, join(entry.parentPath, entry.name))).sort();
	const archive = `${folder}.cpio`;
	const options = ['--format=newc', '--owner=+0:+0', '--reproducible', '--quiet', '--file', archive];
	await run(['cpio', '--create', ...options], {cwd: folder, input: `${paths.join('\n')}\n`});
	await pipeline(createReadStream(archive), createGzip({level: 6}), createWriteStream(initramfs, {flags: 'a'}));
	await rm(archive);
}
