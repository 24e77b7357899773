import {chooseDisk, installSchema} from '../disks.ts';
import {finishedName, isBegun, partitions, readLayout, readSignatures, readTable, unfinishedName} from '../layout.ts';
import type {Command, Phase} from '../phase.ts';

/**
 * In debian-installer, when its partitioner has written its table: gives it the names by which an install knows its own
 * disk again. The identifier comes last, for without it the rest says nothing.
 */
export const mark: Phase<typeof installSchema> = {
	schema: installSchema,
	packages: ['fdisk', 'util-linux'],
	async plan(config, probe) {
		const disk = await chooseDisk(config, probe);
		const layout = await readLayout(probe, disk);
		const table = await readTable(probe, disk.path, await readSignatures(probe, disk.path));
		if (isBegun(table, layout)) return [];
		const numbers = table?.partitions.map(({number}) => number) ?? [];
		for (const [name, number] of Object.entries(partitions))
			if (!numbers.includes(number))
				throw new Error(`debian-installer has made no partition ${number} (${name}) on ${disk.name}; its log says why`);
		const {root, esp} = partitions;
		// The partitioner holds the disk, and the names mean nothing to the kernel.
		const change = (...words: string[]): Command => ['sfdisk', '--no-reread', '--no-tell-kernel', ...words];
		const commands: [command: Command, why: string][] = [
			[change('--part-uuid', disk.path, `${root}`, layout.rootPartUuid), 'give the root partition its identifier'],
			[change('--part-uuid', disk.path, `${esp}`, layout.espPartUuid), 'give the ESP its identifier'],
			[change('--part-label', disk.path, `${root}`, unfinishedName), `mark it as not yet ${finishedName}`],
			[change('--disk-id', disk.path, layout.tableId), 'give the partition table its identifier'],
		];
		return commands.map(([command, why]) => ({do: 'run', command, why}));
	},
};
