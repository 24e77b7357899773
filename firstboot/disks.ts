import * as z from 'zod';
import type {Command, OnDisk, Probe} from './phase.ts';

const units: Record<string, number> = {
	K: 2 ** 10,
	M: 2 ** 20,
	G: 2 ** 30,
	T: 2 ** 40,
	KB: 1e3,
	MB: 1e6,
	GB: 1e9,
	TB: 1e12,
};

/** A size as people write it; parseSize gives its bytes. */
export const size = z
	.string()
	.regex(/^(?=.*[1-9])\d+(\.\d+)?[KMGT]B?$/, 'expected a size such as 20G (powers of 1024) or 500GB (powers of 1000)')
	.describe('a size: `20G` counts in powers of 1024, `500GB` in powers of 1000');

/** Bytes of a size such as 20G or 500GB. */
export function parseSize(text: string): number {
	const [, digits, unit] = /^([\d.]+)([KMGT]B?)$/.exec(text) ?? [];
	return Math.floor(Number(digits) * (units[unit ?? ''] ?? Number.NaN));
}

/** Blanks around it are not part of what a disk reports; nothing else would match a disk that reports none. */
const text = z.string().trim().min(1);

/** The fields that say which disk. */
export const selectorFields = {
	wwid: text
		.optional()
		.describe('world-wide identifier: `eui.…`, `naa.…`, `nvme.…` or as lsblk prints it; the best choice'),
	serial: text.optional().describe('serial number, as the disk reports it'),
	model: text
		.refine(model => /[^*\s]/.test(model), 'a model of stars alone matches every disk; leave it out')
		.optional()
		.describe('model, as the disk reports it; `*` stands for any characters'),
	transport: z.enum(['nvme', 'sata', 'sas', 'virtio', 'usb', 'mmc']).optional().describe('how the disk is attached'),
	minSize: size.optional(),
	maxSize: size.optional(),
};

const selector = z
	.strictObject(selectorFields)
	.refine(
		fields => Object.keys(fields).length > 0,
		'the selector is empty and would match any disk; give at least one field, such as minSize: 20G',
	)
	.describe('which disk: every field given must match, and exactly one disk may');

/** The section `install`, of all phases that make the disk. */
export const installSchema = z
	.strictObject({
		method: z
			.enum(['image', 'debian-installer'])
			.default('image')
			.describe(
				"who installs: `image` unpacks a finished system; `debian-installer` is Debian's own, with a preseed and the packages on the medium; it takes longer",
			),
		disk: selector,
		firmware: z
			.enum(['booted', 'both'])
			.default('booted')
			.describe('what the disk boots under: the firmware that it was installed under, or UEFI and BIOS `both`'),
		wipe: z
			.enum(['empty', 'same-machine', 'any'])
			.default('empty')
			.describe(
				'which content may be erased: `empty` none, only a disk is taken that has no signature and whose first and last 8 MiB are zero; `same-machine` an earlier install of bringup on this very machine, with no partition beside its own; `any` whatever is there, on a disk that is named by its wwid or serial. Never a data disk',
			),
	})
	.describe('The disk that the medium installs to, and what may be erased.');

/** The section; on the machine with the selectors of the data disks, which no install takes. */
export type Install = z.output<typeof installSchema> & {dataDisks?: Readonly<Record<string, Selector>> | undefined};
export type Selector = z.output<typeof selector>;

/** A whole disk as lsblk and sysfs show it. Sizes in bytes. */
export interface Disk {
	name: string;
	/** A name that no other disk can get while this one is attached: /dev/disk/by-diskseq/N */
	path: string;
	model: string;
	serial: string;
	wwids: readonly string[];
	transport: string;
	size: number;
	removable: boolean;
	readOnly: boolean;
	/** The numbers of the partitions that the kernel sees on it. */
	partitions: readonly number[];
	/** What steps that change it name it by. */
	on: OnDisk;
	/** What stands on the disk and its partitions, for people. */
	contents: string;
	/** The partitions of data disks that udev sees on it. */
	dataLabels: readonly string[];
	/** Where it and what is on it is mounted. */
	mounts: readonly string[];
	/** Why nothing may ever be made on it, whatever the profile says. */
	barred: string | undefined;
}

/** A block device as lsblk shows it. */
export interface Node {
	name: string;
	path: string;
	type: string;
	size: number | string | null;
	model: string | null;
	serial: string | null;
	wwn: string | null;
	tran: string | null;
	rm: boolean;
	ro: boolean;
	fstype: string | null;
	label: string | null;
	pttype: string | null;
	partlabel: string | null;
	mountpoints: (string | null)[];
	children?: Node[];
}

export const listBlockDevices: Command = [
	'lsblk',
	'--json',
	'--bytes',
	'--output',
	'NAME,PATH,TYPE,SIZE,MODEL,SERIAL,WWN,TRAN,RM,RO,FSTYPE,LABEL,PTTYPE,PARTLABEL,MOUNTPOINTS',
];

/** Where the installed system is mounted while it is made. */
export const target = '/target';

/** The status of an install as it is when nothing more fails: what the disk keeps, which is let go of last. */
export const endedPath = '/run/bringup/ended.json';

/** A device and all that is on it. */
export function flatten(node: Node): Node[] {
	return [node, ...(node.children ?? []).flatMap(flatten)];
}

function describeContents(node: Node): string {
	const found = flatten(node).flatMap(({name, fstype, label, pttype, type, partlabel}) => {
		const what = [fstype, label && `"${label}"`, partlabel && `(${partlabel})`].filter(Boolean).join(' ');
		if (type === 'disk') return [pttype && `${pttype} partition table`, fstype && what].filter(Boolean);
		return [`${name}: ${what || type}`];
	});
	return [...new Set(found)].join(', ') || 'empty'; // what lies on two parts is shown below each
}

function listMounts(node: Node): string[] {
	return flatten(node).flatMap(({mountpoints}) => mountpoints.filter(mount => mount !== null));
}

/** The boot medium is found by its mount, traced up through its parents. */
function findBar(node: Node): string | undefined {
	if (listMounts(node).some(mount => mount.startsWith('/run/live/'))) return 'it is the boot medium';
	if (node.rm) return 'it is removable';
	if (/^mmcblk\d+(boot\d+|rpmb)$/.test(node.name)) return 'it is an area of an eMMC for boot loaders';
	if (node.ro) return 'it is read-only';
	if (Number(node.size) === 0) return 'its size is zero';
	if (flatten(node).some(({type, fstype}) => type === 'mpath' || fstype === 'mpath_member'))
		return 'it is one path of a multipath device';
	return undefined;
}

/** Whether a partition of this name is that of a data disk; the system's share the beginning. */
export const isDataLabel = (name: string): boolean => /^bringup-(?!(bios|esp|root|installing)$)/.test(name);

/** Disks share one spelling of a wwid: lsblk prints 0x… where sysfs has naa.… */
export function normalizeWwid(wwid: string): string {
	return wwid.trim().toLowerCase().replace(/^0x/, 'naa.');
}

/** What tells a disk from another, as sysfs has it of one kind or another. */
const attributes = [
	...['diskseq', 'size', 'start', 'partition', 'wwid', 'device/wwid', 'serial', 'device/serial'],
	...['dm/uuid', 'md/uuid'],
];

/** What tells a device from another, by the name that the kernel gives it and by the path that steps name it by. */
export async function readOn(name: string, disk: string, probe: Probe): Promise<OnDisk> {
	const read = async (file: string) => [file, (await probe.read(`/sys/class/block/${name}/${file}`))?.trim()] as const;
	const found = await Promise.all(attributes.map(read));
	return {disk, is: Object.fromEntries(found.filter((one): one is [string, string] => Boolean(one[1])))};
}

/** The number of a partition, by the kernel's name of it. */
export async function readPartitionNumber(name: string, probe: Probe): Promise<number> {
	const number = (await probe.read(`/sys/class/block/${name}/partition`))?.trim();
	return Number(number ?? /\d+$/.exec(name)?.[0]);
}

/** A whole disk. */
export async function readDisk(node: Node, probe: Probe): Promise<Disk> {
	const sysfs = `/sys/block/${node.name}`;
	const wwids = [node.wwn, await probe.read(`${sysfs}/wwid`), await probe.read(`${sysfs}/device/wwid`)];
	const sequence = (await probe.read(`${sysfs}/diskseq`))?.trim();
	if (!sequence) throw new Error(`the kernel gives no disk sequence number for ${node.name} (${sysfs}/diskseq)`);
	// Not those of an array that lies on the disk.
	const inside = (node.children ?? []).filter(({type}) => type === 'part');
	const numbers = await Promise.all(inside.map(({name}) => readPartitionNumber(name, probe)));
	const path = `/dev/disk/by-diskseq/${sequence}`;
	return {
		name: node.name,
		path,
		model: node.model?.trim() ?? '',
		serial: node.serial?.trim() ?? '',
		wwids: [...new Set(wwids.flatMap(wwid => (wwid?.trim() ? [normalizeWwid(wwid)] : [])))],
		transport: node.tran ?? (node.name.startsWith('vd') ? 'virtio' : node.name.startsWith('mmcblk') ? 'mmc' : ''),
		size: Number(node.size),
		removable: node.rm,
		readOnly: node.ro,
		partitions: numbers,
		on: await readOn(node.name, path, probe),
		contents: describeContents(node),
		dataLabels: inside.flatMap(({partlabel}) => (isDataLabel(partlabel ?? '') ? [partlabel ?? ''] : [])),
		mounts: listMounts(node),
		barred: findBar(node),
	};
}

/** The block devices of the machine, as trees. */
export async function readBlockDevices(probe: Probe): Promise<Node[]> {
	return (JSON.parse(await probe.output(listBlockDevices)) as {blockdevices: Node[]}).blockdevices;
}

/** Every whole disk of the machine, by name: the kernel's own order changes from boot to boot. */
export async function readDisks(probe: Probe): Promise<Disk[]> {
	const whole = (await readBlockDevices(probe)).filter(({type}) => type === 'disk' || type === 'rom');
	const disks = await Promise.all(whole.map(node => readDisk(node, probe)));
	return disks.sort((a, b) => a.name.localeCompare(b.name));
}
