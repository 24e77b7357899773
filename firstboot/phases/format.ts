import {chooseDisk, type Disk, installSchema, target} from '../disks.ts';
import {
	isBegun,
	type Layout,
	labels,
	partitionPath,
	partitions,
	readLayout,
	readSignatures,
	readTable,
} from '../layout.ts';
import {type Command, type Phase, type Probe, readMounts, type Step} from '../phase.ts';

interface FileSystem {
	device: string;
	mount: string;
	/** As libblkid names the type and the UUID. */
	type: string;
	uuid: string;
	make: Command;
}

function listFileSystems(disk: Disk, layout: Layout): {esp: FileSystem; root: FileSystem} {
	const [root, esp] = [partitionPath(disk, partitions.root), partitionPath(disk, partitions.esp)];
	const volume = layout.espVolumeId.toUpperCase();
	return {
		esp: {
			device: esp,
			mount: `${target}/boot/efi`,
			type: 'vfat',
			uuid: `${volume.slice(0, 4)}-${volume.slice(4)}`,
			make: ['mkfs.vfat', '-F', '32', '-n', labels.esp, '-i', layout.espVolumeId, esp],
		},
		root: {
			device: root,
			mount: target,
			type: 'ext4',
			uuid: layout.rootUuid,
			make: ['mkfs.ext4', '-q', '-L', labels.root, '-U', layout.rootUuid, root],
		},
	};
}

/** Whether the file system is there. A partition that holds something else is refused, because mkfs would not: the disk only looked empty. */
async function isMade({device, type, uuid}: FileSystem, probe: Probe): Promise<boolean> {
	const found = await readSignatures(probe, device);
	if (found.some(signature => signature.type === type && signature.uuid === uuid)) return true;
	const [foreign] = found;
	if (!foreign) return false;
	throw new Error(
		`${device} holds ${foreign.type} that is not ours, left from a partition table that is gone; erase it yourself (wipefs --all), or set install.wipe: any`,
	);
}

/** The root is made last and vouches for the ESP: of a FAT that a power cut has torn, the first sector alone looks whole. */
async function planMake({esp, root}: ReturnType<typeof listFileSystems>, probe: Probe): Promise<Step[]> {
	const espMade = await isMade(esp, probe);
	const rootMade = await isMade(root, probe);
	const missing = rootMade ? (espMade ? [] : [esp]) : [esp, root];
	return missing.map(({make, type, device}) => ({do: 'run', command: make, why: `make ${type} on ${device}`}));
}

/** On a disk that is still blank, as a plan for one sees it, both are made. */
async function planFileSystems(disk: Disk, layout: Layout, probe: Probe): Promise<Step[]> {
	const systems = listFileSystems(disk, layout);
	const signatures = await readSignatures(probe, disk.path);
	if (isBegun(await readTable(probe, disk.path, signatures), layout)) return planMake(systems, probe);
	if (signatures.length > 0)
		throw new Error(`${disk.name} does not carry the partition table of this install; boot the medium again`);
	return Object.values(systems).map(({make, type, device}) => ({
		do: 'run',
		command: make,
		why: `make ${type} on ${device}`,
	}));
}

/** Makes the file systems and mounts them where the installed system is put together. */
export const format: Phase<typeof installSchema> = {
	schema: installSchema,
	packages: ['e2fsprogs', 'dosfstools', 'mount', 'util-linux'],
	async plan(config, probe) {
		const disk = await chooseDisk(config, probe);
		const layout = await readLayout(probe, disk);
		const steps = await planFileSystems(disk, layout, probe);
		const mounted = await readMounts(probe);
		const {esp, root} = listFileSystems(disk, layout);
		for (const {type, device, mount} of [root, esp].filter(({mount}) => !mounted.includes(mount))) {
			const command: Command = ['mount', '-o', 'X-mount.mkdir', '-t', type, device, mount];
			steps.push({do: 'run', command, why: `mount it at ${mount}`});
		}
		return steps;
	},
};
