import {chooseDisk, explainDisks, installSchema, readDisks} from '../disks.ts';
import {type Phase, planFile} from '../phase.ts';

/** Picks the disk, and leaves on record why it was this one. Every later phase picks again and must come to the same. */
export const disk: Phase<typeof installSchema> = {
	schema: installSchema,
	packages: ['util-linux', 'udev'],
	async plan(config, probe) {
		const chosen = await chooseDisk(config, probe);
		const identity = [chosen.model, chosen.serial, `${(chosen.size / 1e9).toFixed(1)} GB`].filter(Boolean).join(', ');
		const record = `${chosen.path}\n${explainDisks(config.disk, await readDisks(probe))}\n`;
		const earlier = await probe.read('/run/bringup/disk.txt');
		if (earlier?.split('\n')[0] === chosen.path) return [];
		return planFile(probe, '/run/bringup/disk.txt', record, `take ${chosen.name} (${identity})`);
	},
};
