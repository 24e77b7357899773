import {chooseDisk} from '../choice.ts';
import {clearedPath} from '../consent.ts';
import {readSignatures, readTable} from '../contents.ts';
import type {Disk, installSchema} from '../disks.ts';
import {
	isBegun,
	markOffsetIn,
	type Partition,
	partitionPath,
	partitions,
	partitionTypes,
	planMark,
	readLayout,
	rootName,
	type Table,
} from '../layout.ts';
import type {Command, Phase, Probe, Step} from '../phase.ts';

/** The BIOS boot partition of the partitioner. On a small disk it takes a recipe of its own, with other partitions by the same numbers. */
function findBios(table: Table | undefined, disk: Disk): Partition {
	const found = table?.partitions.map(({number, type}) => `${number} ${type}`) ?? [];
	const bios = table?.partitions.find(({number, type}) => number === partitions.bios && type === partitionTypes.bios);
	if (found.length === 3 && bios) return bios;
	throw new Error(
		`debian-installer has partitioned ${disk.name} otherwise than it was told (${found.join(', ') || 'not at all'}); is the disk too small?`,
	);
}

/** The partitioner formats without a look. A disk that only looked empty shows what it holds when it has partitions again. */
async function checkContent(disk: Disk, probe: Probe): Promise<void> {
	if ((await probe.read(clearedPath))?.trim() === 'given') return;
	for (const number of [partitions.esp, partitions.root]) {
		const device = partitionPath(disk, number);
		const [foreign] = await readSignatures(probe, device);
		if (foreign)
			throw new Error(
				`${device} holds ${foreign.type} that is not ours, left from a partition table that is gone; erase it yourself (wipefs --all), or set install.wipe: any`,
			);
	}
}

/**
 * In debian-installer, when its partitioner has written its table and not yet formatted: gives it the names by which an
 * install knows its own disk again. The identifier comes last, for without it the rest says nothing.
 */
export const mark: Phase<typeof installSchema> = {
	packages: ['fdisk', 'util-linux'],
	async plan(config, probe) {
		const disk = await chooseDisk(config, probe);
		const layout = await readLayout(probe, disk);
		const table = await readTable(probe, disk.path, await readSignatures(probe, disk.path));
		if (isBegun(table, layout)) return [];
		const bootPartition = findBios(table, disk);
		await checkContent(disk, probe);
		const {bios, root, esp} = partitions;
		// The partitioner holds the disk, and the names mean nothing to the kernel.
		const change = (...words: string[]): Command => ['sfdisk', '--no-reread', '--no-tell-kernel', ...words];
		const commands: [command: Command, why: string][] = [
			[change('--part-label', disk.path, `${bios}`, 'bringup-bios'), 'name the BIOS boot partition'],
			[change('--part-label', disk.path, `${esp}`, 'bringup-esp'), 'name the ESP'],
			// Under BIOS the partitioner gives it none.
			[change('--part-type', disk.path, `${esp}`, partitionTypes.esp), 'give the ESP its type'],
			[change('--part-type', disk.path, `${root}`, partitionTypes.root), 'give the root partition its type'],
			[change('--part-uuid', disk.path, `${root}`, layout.rootPartUuid), 'give the root partition its identifier'],
			[change('--part-uuid', disk.path, `${esp}`, layout.espPartUuid), 'give the ESP its identifier'],
			[change('--part-label', disk.path, `${root}`, rootName), 'name the root partition'],
			[change('--disk-id', disk.path, layout.tableId), 'give the partition table its identifier'],
		];
		const begin = planMark(
			disk.path,
			markOffsetIn(bootPartition),
			{state: 'installing', uuid: layout.rootPartUuid},
			`mark ${disk.name} as being installed`,
			[disk.on],
		);
		return [begin, ...commands.map(([command, why]): Step => ({do: 'run', command, on: [disk.on], why}))];
	},
};
