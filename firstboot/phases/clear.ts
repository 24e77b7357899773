import {planClearance} from '../consent.ts';
import {chooseDisk, installSchema} from '../disks.ts';
import {readLayout} from '../layout.ts';
import type {Phase} from '../phase.ts';

/** In debian-installer, before its partitioner sees the disk: erases what the profile lets go, and nothing else. */
export const clear: Phase<typeof installSchema> = {
	schema: installSchema,
	packages: ['util-linux', 'udev'],
	async plan(config, probe) {
		const disk = await chooseDisk(config, probe);
		const {wipe} = await planClearance(config, disk, await readLayout(probe, disk), probe);
		if (wipe.length === 0) return [];
		return [...wipe, {do: 'run', command: ['udevadm', 'settle'], why: 'let udev see that the disk is empty'}];
	},
};
