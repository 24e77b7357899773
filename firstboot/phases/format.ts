import {chooseDisk, type Disk, installSchema, target} from '../disks.ts';
import {isBegun, type Layout, partitionPath, partitions, readLayout, readSignatures, readTable} from '../layout.ts';
import {type Command, type Phase, type Probe, readMounts, type Step} from '../phase.ts';

interface FileSystem {
	device: string;
	mount: string;
	/** As libblkid names the type and the UUID. */
	type: string;
	uuid: string;
	make: Command;
}

function listFileSystems(disk: Disk, layout: Layout): FileSystem[] {
	const [root, esp] = [partitionPath(disk, partitions.root), partitionPath(disk, partitions.esp)];
	const volume = layout.espVolumeId.toUpperCase();
	return [
		{
			device: root,
			mount: target,
			type: 'ext4',
			uuid: layout.rootUuid,
			make: ['mkfs.ext4', '-q', '-L', 'bringup-root', '-U', layout.rootUuid, root],
		},
		{
			device: esp,
			mount: `${target}/boot/efi`,
			type: 'vfat',
			uuid: `${volume.slice(0, 4)}-${volume.slice(4)}`,
			make: ['mkfs.vfat', '-F', '32', '-n', 'BRINGUP-ESP', '-i', layout.espVolumeId, esp],
		},
	];
}

/** A partition that holds something else is refused: the disk only looked empty. */
async function planMake({device, type, uuid, make}: FileSystem, probe: Probe): Promise<Step[]> {
	const found = await readSignatures(probe, device);
	if (found.some(signature => signature.type === type && signature.uuid === uuid)) return [];
	const [foreign] = found;
	if (foreign) {
		throw new Error(
			`${device} holds ${foreign.type} that is not ours, left from a partition table that is gone; erase it yourself (wipefs --all), or set install.wipe: any`,
		);
	}
	return [{do: 'run', command: make, why: `make ${type} on ${device}`}];
}

/** Makes the file systems and mounts them where the installed system is put together. */
export const format: Phase<typeof installSchema> = {
	schema: installSchema,
	packages: ['e2fsprogs', 'dosfstools', 'mount', 'util-linux'],
	async plan(config, probe) {
		const disk = await chooseDisk(config, probe);
		const layout = await readLayout(probe, disk);
		const table = await readTable(probe, disk.path, await readSignatures(probe, disk.path));
		const partitioned = isBegun(table, layout);
		const mounted = await readMounts(probe);
		const steps: Step[] = [];
		for (const system of listFileSystems(disk, layout)) {
			const make: Step = {do: 'run', command: system.make, why: `make ${system.type} on ${system.device}`};
			steps.push(...(partitioned ? await planMake(system, probe) : [make]));
			if (mounted.includes(system.mount)) continue;
			const command: Command = ['mount', '-o', 'X-mount.mkdir', '-t', system.type, system.device, system.mount];
			steps.push({do: 'run', command, why: `mount it at ${system.mount}`});
		}
		return steps;
	},
};
