import {choicePath, chooseDisk, explainInstall} from '../choice.ts';
import {type installSchema, readDisks} from '../disks.ts';
import {type Phase, planFile} from '../phase.ts';

/** Picks the disk, and leaves on record why it was this one. Every later phase picks again and must come to the same. */
export const disk: Phase<typeof installSchema> = {
	packages: ['util-linux', 'udev'],
	async plan(config, probe) {
		const chosen = await chooseDisk(config, probe);
		const identity = [chosen.model, chosen.serial, `${(chosen.size / 1e9).toFixed(1)} GB`].filter(Boolean).join(', ');
		const record = `${chosen.path}\n${explainInstall(config, await readDisks(probe))}\n`;
		if ((await probe.read(choicePath)) !== undefined) return [];
		return planFile(probe, choicePath, record, `take ${chosen.name} (${identity})`);
	},
};
