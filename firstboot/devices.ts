import {explainChoice, findMismatch} from './choice.ts';
import {readClaim} from './claims.ts';
import {type Contents, readContents} from './contents.ts';
import {
	type Disk,
	flatten,
	type Node,
	readBlockDevices,
	readDisk,
	readDisks,
	readOn,
	readPartitionNumber,
} from './disks.ts';
import {type OnDisk, own, type Probe} from './phase.ts';
import {devicePath, partitionLabel, type Storage} from './volumes.ts';

function refuseData(disk: Disk): string | undefined {
	const system = disk.mounts.find(mount => mount === '/' || mount.startsWith('/boot'));
	return disk.barred ?? (system === undefined ? undefined : `it is the system disk: mounted at ${system}`);
}

/**
 * The disk of each name, or why it has none, with every disk explained: exactly one must match. A disk that two names
 * match is neither's, whatever else is wrong with them.
 */
export async function chooseDataDisks({disks}: Storage, probe: Probe): Promise<Map<string, Disk | Error>> {
	const found = await readDisks(probe);
	const choices = Object.entries(disks).map(([name, selector]) => {
		return {name, selector, matches: found.filter(disk => !refuseData(disk) && !findMismatch(selector, disk))};
	});
	const choose = ({name, selector, matches}: (typeof choices)[number]): Disk | Error => {
		const paste = (fields: string) => `  storage: {disks: {${name}: {${fields}}}}`;
		const [only] = matches;
		if (!only || matches.length > 1) return explainChoice(`storage.disks.${name}`, selector, found, refuseData, paste);
		const twin = choices.find(other => other.name !== name && other.matches.includes(only));
		if (!twin) return only;
		return new Error(
			`storage.disks.${[name, twin.name].sort().join(' and storage.disks.')} are the same disk, ${only.name}`,
		);
	};
	return new Map(choices.map(choice => [choice.name, choose(choice)]));
}

/** The partition of a data disk, with what is on it; undefined when there is none. Throws when there are two. */
export function findPartition(devices: readonly Node[], disk: string): Node | undefined {
	const label = partitionLabel(disk);
	const found = devices.flatMap(flatten).filter(({type, partlabel}) => type === 'part' && partlabel === label);
	const paths = [...new Set(found.map(({path}) => path))];
	if (paths.length > 1)
		throw new Error(`two partitions are named ${label}: ${paths.join(', ')}; take the disk of another machine out`);
	return found[0];
}

/** The arrays that run on the members of one. */
export function findArrays(members: readonly string[], devices: readonly Node[]): Node[] {
	const below = members.flatMap(member => findPartition(devices, member)?.children ?? []);
	const arrays = below.filter(({type}) => /^(raid\d+|linear)$/.test(type));
	return [...new Map(arrays.map(node => [node.path, node])).values()];
}

/** The device behind a name of the profile; undefined when it is not there (yet). */
export function findDevice(storage: Storage, name: string, devices: readonly Node[]): Node | undefined {
	const array = own(storage.arrays, name);
	if (array) return findArrays(array.members, devices)[0];
	if (!name.includes('/')) return findPartition(devices, name);
	return devices.flatMap(flatten).find(({type, name: own}) => type === 'lvm' && own === name.replace('/', '-'));
}

/** The data disks that a name of the profile lies on. */
export function listDisks(storage: Storage, name: string): string[] {
	const [group = '', volume] = name.split('/');
	const members = volume === undefined ? own(storage.arrays, name)?.members : own(storage.groups, group)?.members;
	return members?.flatMap(member => listDisks(storage, member)) ?? [name];
}

/** A device of the section: where it is, or where it will be. */
export interface Place {
	/** The path that steps name it by. */
	path: string;
	/** What must still be so when such a step is run. */
	on: OnDisk[];
	/** Undefined when it is not there yet. */
	node: Node | undefined;
}

async function placeDisk(storage: Storage, name: string, devices: readonly Node[], probe: Probe): Promise<Place> {
	const node = findPartition(devices, name);
	const holder = node && devices.find(device => device.children?.includes(node));
	if (node && holder) {
		const disk = await readDisk(holder, probe);
		const number = await readPartitionNumber(node.name, probe);
		return {path: `${disk.path}-part${number}`, on: [disk.on], node};
	}
	const chosen = (
		await chooseDataDisks({...storage, disks: {[name]: own(storage.disks, name) ?? {wipe: false}}}, probe)
	).get(name);
	if (chosen === undefined || chosen instanceof Error) throw chosen;
	return {path: `${chosen.path}-part1`, on: [chosen.on], node: undefined};
}

/** The device of a name, with what tells it and its disks from others. */
export async function findPlace(storage: Storage, name: string, probe: Probe): Promise<Place> {
	const devices = await readBlockDevices(probe);
	const disks = await Promise.all(listDisks(storage, name).map(disk => placeDisk(storage, disk, devices, probe)));
	const [only] = disks;
	if (only && own(storage.disks, name)) return only;
	const on = disks.flatMap(disk => disk.on);
	const node = findDevice(storage, name, devices);
	if (!node) return {path: devicePath(storage, name), on, node};
	// Of what device mapper makes lsblk gives its own name, not the kernel's.
	const link = (await probe.list('/dev/mapper'))?.get(node.name)?.target.split('/').at(-1);
	return {path: node.path, on: [...on, await readOn(link ?? node.name, node.path, probe)], node};
}

/**
 * What stands on the device of a name; undefined when it is not there yet. What udev remembers of it counts where it
 * remembers something, for nothing is made there; a device that looks blank is read itself.
 */
export async function readContent(storage: Storage, name: string, probe: Probe): Promise<Contents | undefined> {
	const {path, node} = await findPlace(storage, name, probe);
	if (node === undefined) return undefined;
	if (!node.fstype) return readContents(probe, path);
	return {signatures: [{type: node.fstype, uuid: null, label: node.label}], table: undefined, raw: false};
}

/** Whether `wipe` let go what was on every disk that a name lies on. */
export async function isGiven(storage: Storage, name: string, probe: Probe): Promise<boolean> {
	const claims = await Promise.all(listDisks(storage, name).map(disk => readClaim(probe, disk)));
	return claims.every(claim => claim?.given);
}

/** How a device stands against the profile, for a refusal. */
export function formatDifference(what: string, wanted: string, found: string, remedy: string): Error {
	return new Error(
		[`${what} is not as the profile says`, `  wanted  ${wanted}`, `  found   ${found}`, remedy].join('\n'),
	);
}
