import {type Disk, flatten, type Node, readBlockDevices} from '../disks.ts';
import {readSignatures} from '../layout.ts';
import {ofPart, own, type Phase, type Probe, planParts, type Step} from '../phase.ts';
import {chooseDataDisks, findPartition, partitionLabel, type Storage, storageSchema} from '../volumes.ts';
import {planModule} from '../zfs-module.ts';

interface DiskPlan {
	/** Stops what runs on the disk. */
	stop: Step[];
	/** Erases the disk and partitions it. */
	make: Step[];
}

const describe = ({name, model, serial}: Disk) => `${name} (${[model, serial].filter(Boolean).join(', ')})`;

function refuse(name: string, disk: Disk): Error {
	return new Error(
		[
			`storage.disks.${name}: ${describe(disk)} carries data that is not ours`,
			`  wanted  empty, or a partition ${partitionLabel(name)}`,
			`  found   ${disk.contents}`,
			`nothing was changed. If what is on it may go, erase it yourself (${disk.contents.includes('zfs_member') ? 'zpool labelclear -f' : 'wipefs --all'}), or say so in the profile:`,
			`  storage: {disks: {${name}: {wipe: true}}}`,
		].join('\n'),
	);
}

/** What udev has set up on the disk must be stopped first; the programs refuse what is in use. */
function planStop(devices: readonly Node[], what: string): Step[] {
	const seen = new Set<string>();
	return [...devices].reverse().flatMap(({type, path}): Step[] => {
		if (seen.has(path)) return [];
		seen.add(path);
		if (type === 'lvm')
			return [{do: 'run', command: ['lvchange', '--activate', 'n', path], why: `stop ${path}, to erase ${what}`}];
		if (/^(raid\d+|linear)$/.test(type))
			return [{do: 'run', command: ['mdadm', '--stop', path], why: `stop ${path}, to erase ${what}`}];
		return [];
	});
}

/** Not what the profile made itself and calls otherwise now. */
function checkWipe(name: string, disk: Disk, node: Node): void {
	const made = flatten(node).find(
		({type, partlabel}) => type === 'part' && /^bringup-(?!bios|esp|root|installing)/.test(partlabel ?? ''),
	);
	if (made)
		throw new Error(
			`storage.disks.${name}: ${describe(disk)} holds ${made.partlabel}, which was made for another name; call the disk that, or erase it yourself: wipefs --all ${made.path} ${disk.path}`,
		);
}

function planWipe(name: string, disk: Disk, node: Node, zfs: boolean): DiskPlan {
	const what = `${disk.contents} on ${describe(disk)}; storage.disks.${name}.wipe`;
	const partitions = flatten(node).filter(({type}) => type === 'part');
	// wipefs leaves what zpool knows a member by, which then refuses the disk.
	const members = zfs ? flatten(node).filter(({fstype}) => fstype === 'zfs_member') : [];
	return {
		stop: planStop(flatten(node).slice(1), what),
		make: [
			...members.map(({path}): Step => {
				const command = ['zpool', 'labelclear', '-f', path] as const;
				return {do: 'run', command, why: `erase ${what}: ${path} as a member of a pool`};
			}),
			...[...partitions.map(({path}) => path), disk.path].map(
				(path): Step => ({do: 'run', command: ['wipefs', '--all', path], why: `erase ${what}: ${path}`}),
			),
		],
	};
}

async function planDisk(
	{disks, pools}: Storage,
	name: string,
	disk: Disk,
	devices: readonly Node[],
	probe: Probe,
): Promise<DiskPlan> {
	const wipe = own(disks, name)?.wipe ?? false;
	const zfs = Object.keys(pools).length > 0;
	const node = devices.find(device => device.name === disk.name) as Node;
	const ours = findPartition(devices, name);
	if (ours && flatten(node).includes(ours)) return {stop: [], make: []};
	if (ours)
		throw new Error(
			`the partition ${partitionLabel(name)} is on ${ours.path}, and storage.disks.${name} is ${describe(disk)}`,
		);
	const blank = disk.contents === 'empty' && (await readSignatures(probe, disk.path)).length === 0;
	if (!blank && !wipe) throw refuse(name, disk);
	if (!blank) checkWipe(name, disk, node);
	const {stop, make} = blank ? {stop: [], make: []} : planWipe(name, disk, node, zfs);
	const table: Step[] = [
		{
			do: 'run',
			// Signatures inside the new partition are kept unless the profile gave the disk's content up: what is made on it refuses them.
			command: ['sfdisk', '--wipe-partitions', wipe ? 'always' : 'never', disk.path],
			stdin: `label: gpt\nname=${partitionLabel(name)}\n`,
			why: `partition ${describe(disk)} as ${name}; it is ${blank ? 'empty' : 'erased'}`,
		},
		{do: 'run', command: ['udevadm', 'settle'], why: 'let udev see the partition'},
	];
	return {stop, make: [...make, ...table]};
}

/** Gives every data disk the one partition that the rest is made on. */
export const dataDisks: Phase<typeof storageSchema> = {
	schema: storageSchema,
	packages: ['fdisk', 'util-linux', 'udev', 'lvm2', 'mdadm', 'smartmontools'],
	async plan(storage, probe) {
		const chosen = await chooseDataDisks(storage, probe);
		const devices = await readBlockDevices(probe);
		const plan = async (name: string) => {
			const disk = chosen.get(name);
			if (disk === undefined || disk instanceof Error) throw disk;
			return planDisk(storage, name, disk, devices, probe);
		};
		return planParts([...chosen.keys()], plan, async (plans, names) => {
			// zpool clears no member before the kernel has its module.
			const clears = plans.some(({make}) => make.some(step => step.do === 'run' && step.command[0] === 'zpool'));
			const module = clears ? await planModule(storage, probe) : {steps: [], usable: true};
			if (!module.usable) return module.steps;
			// What lies on two of the disks is stopped once, and before either is erased.
			const stops = new Map(
				plans.flatMap(({stop}) => stop).map(step => [step.do === 'run' ? step.command.join(' ') : '', step]),
			);
			return [...module.steps, ...stops.values(), ...plans.flatMap(({make}, index) => ofPart(names[index], make))];
		});
	},
};
