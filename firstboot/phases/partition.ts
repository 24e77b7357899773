import {chooseDisk} from '../choice.ts';
import {planClearance} from '../consent.ts';
import type {installSchema} from '../disks.ts';
import {type Layout, markOffset, partitionTypes, planMark, readLayout, rootName} from '../layout.ts';
import type {Phase, Step} from '../phase.ts';

function formatTable(layout: Layout): string {
	return [
		'label: gpt',
		`label-id: ${layout.tableId}`,
		`start=1MiB, size=1MiB, type=${partitionTypes.bios}, name=bringup-bios`,
		`size=512MiB, type=${partitionTypes.esp}, uuid=${layout.espPartUuid}, name=bringup-esp`,
		`type=${partitionTypes.root}, uuid=${layout.rootPartUuid}, name=${rootName}`,
		'',
	].join('\n');
}

const settle: Step = {do: 'run', command: ['udevadm', 'settle'], why: 'let udev see the partitions'};

/** Lays the table out: BIOS boot, ESP, root, so that one disk boots under either firmware. */
export const partition: Phase<typeof installSchema> = {
	packages: ['fdisk', 'util-linux', 'udev'],
	async plan(config, probe) {
		const disk = await chooseDisk(config, probe);
		const layout = await readLayout(probe, disk);
		const {begun, consent, given, wipe} = await planClearance(config, disk, layout, probe);
		if (begun) return [];
		return [
			...wipe,
			// Before the table: one of ours without the mark is in use.
			planMark(
				disk.path,
				markOffset,
				{state: 'installing', uuid: layout.rootPartUuid},
				`mark ${disk.name} as being installed`,
				[disk.on],
			),
			{
				do: 'run',
				// Signatures inside the new partitions are kept unless the profile gave the disk's content up: format refuses them.
				command: ['sfdisk', '--wipe-partitions', given ? 'always' : 'never', disk.path],
				stdin: formatTable(layout),
				on: [disk.on],
				why: `partition ${disk.name} (${disk.model}, serial ${disk.serial || 'none'}; ${consent})`,
			},
			settle,
		];
	},
};
