import {planClearance} from '../consent.ts';
import {chooseDisk, installSchema} from '../disks.ts';
import {type Layout, readLayout, unfinishedName} from '../layout.ts';
import type {Phase} from '../phase.ts';

const types = {
	bios: '21686148-6449-6E6F-744E-656564454649',
	esp: 'C12A7328-F81F-11D2-BA4B-00A0C93EC93B',
	root: '4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709', // root of x86-64, Discoverable Partitions Specification
};

function formatTable(layout: Layout): string {
	return [
		'label: gpt',
		`label-id: ${layout.tableId}`,
		`size=1MiB, type=${types.bios}, name=bringup-bios`,
		`size=512MiB, type=${types.esp}, uuid=${layout.espPartUuid}, name=bringup-esp`,
		`type=${types.root}, uuid=${layout.rootPartUuid}, name=${unfinishedName}`,
		'',
	].join('\n');
}

/** Lays the table out: BIOS boot, ESP, root, so that one disk boots under either firmware. */
export const partition: Phase<typeof installSchema> = {
	schema: installSchema,
	packages: ['fdisk', 'util-linux', 'udev'],
	async plan(config, probe) {
		const disk = await chooseDisk(config, probe);
		const layout = await readLayout(probe, disk);
		const {begun, consent, given, wipe} = await planClearance(config, disk, layout, probe);
		if (begun) return [];
		return [
			...wipe,
			{
				do: 'run',
				// Signatures inside the new partitions are kept unless the profile gave the disk's content up: format refuses them.
				command: ['sfdisk', '--wipe-partitions', given ? 'always' : 'never', disk.path],
				stdin: formatTable(layout),
				why: `partition ${disk.name} (${disk.model}, serial ${disk.serial || 'none'}; ${consent})`,
			},
			{do: 'run', command: ['udevadm', 'settle'], why: 'let udev see the partitions'},
		];
	},
};
