import {type Disk, readBlockDevices} from './disks.ts';
import {deriveUuid, isPlaceholder} from './machine-identity.ts';
import {isPlaceholderSerial} from './names.ts';
import type {Command, OnDisk, Probe, Step} from './phase.ts';
import {buildIdPath} from './phase.ts';

export interface Partition {
	number: number;
	name: string;
	uuid: string;
	/** Lower case. */
	type: string;
	/** The byte after it. */
	end: number;
}

/** A GPT as it is on the disk, or undefined when there is none. */
export interface Table {
	id: string;
	partitions: readonly Partition[];
	/** While an install has not yet booted from the disk. */
	mark?: Mark | undefined;
}

/** In bytes; and where it is on a disk that `partition` lays out, before there is a partition. */
const sector = 512;
export const markOffset = 2 * 2 ** 20 - sector;

/** How far an install is that has not yet booted from its disk. */
export interface Mark {
	state: 'installing' | 'installed';
	/** The root partition's. */
	uuid: string;
}

/**
 * Until an install has booted from its disk, the last sector of its BIOS boot partition says how far it is. A sector is
 * written whole or not at all, which a change of a GPT is not. GRUB's core.img takes less than half of that partition.
 */
export async function readMark(probe: Probe, path: string, offset: number): Promise<Mark | undefined> {
	const skip = `skip=${offset / sector}`;
	const text = await probe.output(['dd', `if=${path}`, `bs=${sector}`, skip, 'count=1', 'status=none']);
	const [, state, uuid = ''] = /^bringup-(installing|installed) ([0-9a-f-]{36})\n/.exec(text) ?? [];
	return state === 'installing' || state === 'installed' ? {state, uuid} : undefined;
}

/** Where the mark is, given the BIOS boot partition. */
export const markOffsetIn = ({end}: Partition): number => end - sector;

/** The step that writes the mark, or takes it away. */
export function planMark(
	path: string,
	offset: number,
	mark: Mark | undefined,
	why: string,
	on: readonly OnDisk[] = [],
): Step {
	const content = mark === undefined ? '' : `bringup-${mark.state} ${mark.uuid}\n`;
	const command: Command = [
		'dd',
		`of=${path}`,
		`bs=${sector}`,
		`seek=${offset / sector}`,
		'conv=notrunc,fsync',
		'status=none',
	];
	return {do: 'run', command, stdin: content.padEnd(sector, '\0'), on, why};
}

/** The names by which an install knows its own disk again. */
export interface Layout {
	/** Whether the firmware's identity tells this machine from others; some boards ship with placeholders. */
	identified: boolean;
	/** The GPT's identifier: the same for every install on this machine. */
	tableId: string;
	/** Of this build on this disk of this machine. */
	rootUuid: string;
	rootPartUuid: string;
	espPartUuid: string;
	/** The FAT volume id, eight hexadecimal digits. */
	espVolumeId: string;
	buildId: string;
}

/** Labels of the file systems that we make. */
export const labels = {esp: 'BRINGUP-ESP', root: 'bringup-root'} as const;

/** The root partition's name. */
export const rootName = 'bringup-root';

/** The identity of the machine from its firmware, and of the build from the medium. */
export async function readLayout(probe: Probe, disk: Disk): Promise<Layout> {
	const dmi = ['product_uuid', 'product_serial', 'board_serial'];
	const machine = await Promise.all(
		dmi.map(async name => (await probe.read(`/sys/class/dmi/id/${name}`))?.trim() ?? ''),
	);
	const buildId = (await probe.read(buildIdPath))?.trim() ?? '';
	const [uuid = '', ...serials] = machine;
	const identity = [...machine, buildId, disk.serial, ...disk.wwids];
	return {
		identified: !isPlaceholder(uuid) && serials.some(serial => !isPlaceholderSerial(serial)),
		tableId: deriveUuid('table', ...machine),
		rootUuid: deriveUuid('root file system', ...identity),
		rootPartUuid: deriveUuid('root partition', ...identity),
		espPartUuid: deriveUuid('esp', ...identity),
		espVolumeId: deriveUuid('esp volume', ...identity).slice(0, 8),
		buildId,
	};
}

/** The partitions that every install makes, by number. */
export const partitions = {bios: 1, esp: 2, root: 3} as const;

/** Their types. */
export const partitionTypes = {
	bios: '21686148-6449-6e6f-744e-656564454649',
	esp: 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b',
	root: '4f68bce3-e8cd-4db1-96e7-fbcaf984b709', // root of x86-64, Discoverable Partitions Specification
} as const;

/** The device of a partition, by a name that no other disk can get. */
export function partitionPath(disk: Disk, number: number): string {
	return `${disk.path}-part${number}`;
}

/** Whether this build has begun on this disk: its own table, not yet booted. */
export function isBegun(table: Table | undefined, layout: Layout): boolean {
	const find = (number: number) => table?.partitions.find(partition => partition.number === number);
	const root = find(partitions.root);
	return (
		table?.id === layout.tableId &&
		find(partitions.esp)?.uuid === layout.espPartUuid &&
		root?.uuid === layout.rootPartUuid &&
		table.mark?.uuid === layout.rootPartUuid
	);
}

/** Whether this build has installed this disk whole, booted or not. */
export function isInstalled(table: Table | undefined, layout: Layout): boolean {
	const root = table?.partitions.find(({number}) => number === partitions.root);
	return (
		table?.id === layout.tableId &&
		root?.name === rootName &&
		root.uuid === layout.rootPartUuid &&
		!(table.mark?.uuid === layout.rootPartUuid && table.mark.state === 'installing')
	);
}

/** Takes the mark from the disk whose root partition is mounted there, unless it is gone. */
export async function planFinished(mountpoint: string, probe: Probe): Promise<Step[]> {
	const holder = (await readBlockDevices(probe)).find(({children}) =>
		children?.some(({type, mountpoints}) => type === 'part' && mountpoints.includes(mountpoint)),
	);
	for (const {name, path} of holder?.children ?? []) {
		const attribute = async (file: string) => Number(await probe.read(`/sys/class/block/${name}/${file}`));
		if ((await attribute('partition')) !== partitions.bios) continue;
		const offset = (await attribute('size')) * sector - sector;
		if ((await readMark(probe, path, offset)) === undefined) continue;
		return [planMark(path, offset, undefined, 'mark the install on the disk as finished')];
	}
	return [];
}
