import {chooseDisk} from '../choice.ts';
import {clearedPath, planClearance} from '../consent.ts';
import type {installSchema} from '../disks.ts';
import {readLayout} from '../layout.ts';
import {type Phase, planFile} from '../phase.ts';

/** In debian-installer, before its partitioner sees the disk: erases what the profile lets go, and nothing else. */
export const clear: Phase<typeof installSchema> = {
	packages: ['util-linux', 'udev'],
	async plan(config, probe) {
		const disk = await chooseDisk(config, probe);
		const {given, wipe} = await planClearance(config, disk, await readLayout(probe, disk), probe);
		// Said once: when the disk is erased nothing tells any more that its content was given up.
		const record =
			(await probe.read(clearedPath)) === undefined
				? await planFile(probe, clearedPath, given ? 'given\n' : 'empty\n', 'record whether its content was given up')
				: [];
		if (wipe.length === 0) return record;
		return [
			...record,
			...wipe,
			{do: 'run', command: ['udevadm', 'settle'], why: 'let udev see that the disk is empty'},
		];
	},
};
