import {realpath} from 'node:fs/promises';
import {basename, join} from 'node:path';
import {files} from './files.ts';
import type {OnDisk} from './phase.ts';

/** Throws unless each disk is the one that a step was planned for. The kernel may have given its name to another since. */
export async function checkDisks(disks: readonly OnDisk[], sysfs = '/sys/class/block'): Promise<void> {
	for (const {disk, is} of disks) {
		const device = await realpath(disk).catch(cause => {
			throw new Error(`${disk} is gone: the disk was taken out, or was reset; nothing was done to it`, {cause});
		});
		const name = basename(device);
		for (const [file, before] of Object.entries(is)) {
			const now = (await files.read(join(sysfs, name, file)))?.trim();
			if (now !== before)
				throw new Error(
					`${name} is not the disk that this step was planned for: its ${file} was ${before} and is ${now ?? 'not known'}; nothing was done to it`,
				);
		}
	}
}
