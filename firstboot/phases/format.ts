import {choicePath, chooseDisk} from '../choice.ts';
import {planClearance} from '../consent.ts';
import {readSignatures, readTable} from '../contents.ts';
import {type Disk, type Install, type installSchema, target} from '../disks.ts';
import {isBegun, type Layout, labels, partitionPath, partitions, readLayout} from '../layout.ts';
import {type Command, type OnDisk, type Phase, type Probe, readMounts, type Step} from '../phase.ts';

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

const make = ({make, type, device}: FileSystem, on: OnDisk): Step => {
	return {do: 'run', command: make, on: [on], why: `make ${type} on ${device}`};
};

/** The root is made last and vouches for the ESP: of a FAT that a power cut has torn, the first sector alone looks whole. */
async function planMake({esp, root}: ReturnType<typeof listFileSystems>, on: OnDisk, probe: Probe): Promise<Step[]> {
	const espMade = await isMade(esp, probe);
	const rootMade = await isMade(root, probe);
	const missing = rootMade ? (espMade ? [] : [esp]) : [esp, root];
	return missing.map(system => make(system, on));
}

/** Before a disk was picked, as a plan for a machine as found sees it, both are made if it may be partitioned. */
async function planFileSystems(config: Install, disk: Disk, layout: Layout, probe: Probe): Promise<Step[]> {
	const systems = listFileSystems(disk, layout);
	const table = await readTable(probe, disk.path, await readSignatures(probe, disk.path));
	if (isBegun(table, layout)) return planMake(systems, disk.on, probe);
	if ((await probe.read(choicePath)) !== undefined)
		throw new Error(`${disk.name} does not carry the partition table of this install; boot the medium again`);
	await planClearance(config, disk, layout, probe);
	return Object.values(systems).map(system => make(system, disk.on));
}

/** Makes the file systems and mounts them where the installed system is put together. */
export const format: Phase<typeof installSchema> = {
	packages: ['e2fsprogs', 'dosfstools', 'mount', 'util-linux'],
	async plan(config, probe) {
		const disk = await chooseDisk(config, probe);
		const layout = await readLayout(probe, disk);
		const steps = await planFileSystems(config, disk, layout, probe);
		const mounted = await readMounts(probe);
		const {esp, root} = listFileSystems(disk, layout);
		for (const {type, device, mount} of [root, esp].filter(({mount}) => !mounted.includes(mount))) {
			const command: Command = ['mount', '-o', 'X-mount.mkdir', '-t', type, device, mount];
			steps.push({do: 'run', command, why: `mount it at ${mount}`});
		}
		return steps;
	},
};
