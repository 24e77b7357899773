import * as z from 'zod';
import type {Command, Probe} from './phase.ts';

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

/** The fields that say which disk. */
export const selectorFields = {
	wwid: z
		.string()
		.min(1)
		.optional()
		.describe('world-wide identifier: `eui.…`, `naa.…`, `nvme.…` or as lsblk prints it; the best choice'),
	serial: z.string().min(1).optional().describe('serial number, as the disk reports it'),
	model: z.string().min(1).optional().describe('model, as the disk reports it; `*` stands for any characters'),
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
				'which content may be erased: `empty` none, only a disk without any signature is taken; `same-machine` an earlier install of bringup on this very machine; `any` whatever is there',
			),
	})
	.describe('The disk that the medium installs to, and what may be erased.');

export type Install = z.output<typeof installSchema>;
export type Selector = Install['disk'];

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
	/** What stands on the disk and its partitions, for people. */
	contents: string;
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
	return found.join(', ') || 'empty';
}

function listMounts(node: Node): string[] {
	return flatten(node).flatMap(({mountpoints}) => mountpoints.filter(mount => mount !== null));
}

/** The boot medium is found by its mount, traced up through its parents. */
function findBar(node: Node): string | undefined {
	if (listMounts(node).some(mount => mount.startsWith('/run/live/'))) return 'it is the boot medium';
	if (node.rm) return 'it is removable';
	if (node.ro) return 'it is read-only';
	if (Number(node.size) === 0) return 'its size is zero';
	if (flatten(node).some(({type, fstype}) => type === 'mpath' || fstype === 'mpath_member'))
		return 'it is one path of a multipath device';
	return undefined;
}

/** Disks share one spelling of a wwid: lsblk prints 0x… where sysfs has naa.… */
function normalizeWwid(wwid: string): string {
	return wwid.trim().toLowerCase().replace(/^0x/, 'naa.');
}

async function readDisk(node: Node, probe: Probe): Promise<Disk> {
	const sysfs = `/sys/block/${node.name}`;
	const wwids = [node.wwn, await probe.read(`${sysfs}/wwid`), await probe.read(`${sysfs}/device/wwid`)];
	const sequence = (await probe.read(`${sysfs}/diskseq`))?.trim();
	if (!sequence) throw new Error(`the kernel gives no disk sequence number for ${node.name} (${sysfs}/diskseq)`);
	const inside = flatten(node).filter(({type}) => type === 'part');
	const numbers = await Promise.all(inside.map(({name}) => probe.read(`/sys/class/block/${name}/partition`)));
	return {
		name: node.name,
		path: `/dev/disk/by-diskseq/${sequence}`,
		model: node.model?.trim() ?? '',
		serial: node.serial?.trim() ?? '',
		wwids: [...new Set(wwids.flatMap(wwid => (wwid?.trim() ? [normalizeWwid(wwid)] : [])))],
		transport: node.tran ?? (node.name.startsWith('vd') ? 'virtio' : node.name.startsWith('mmcblk') ? 'mmc' : ''),
		size: Number(node.size),
		removable: node.rm,
		readOnly: node.ro,
		partitions: numbers.map(Number),
		contents: describeContents(node),
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

/** Why the selector does not take this disk; a property that the disk lacks never matches. */
export function findMismatch(selector: Selector, disk: Disk): string | undefined {
	const {wwid, serial, model, transport, minSize, maxSize} = selector;
	if (wwid !== undefined && !disk.wwids.includes(normalizeWwid(wwid))) return `its wwid is not ${wwid}`;
	if (serial !== undefined && disk.serial !== serial.trim()) return `its serial is not ${serial}`;
	if (model !== undefined) {
		const pattern = model
			.trim()
			.split('*')
			.map(part => part.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'));
		if (!new RegExp(`^${pattern.join('.*')}$`).test(disk.model)) return `its model is not ${model}`;
	}
	if (transport !== undefined && disk.transport !== transport) return `its transport is not ${transport}`;
	if (minSize !== undefined && disk.size < parseSize(minSize)) return `it is smaller than ${minSize}`;
	if (maxSize !== undefined && disk.size > parseSize(maxSize)) return `it is larger than ${maxSize}`;
	return undefined;
}

function formatDisk(disk: Disk, verdict: string): string {
	return [
		`  ${disk.name}  ${disk.model || '(no model)'}  ${(disk.size / 1e9).toFixed(1)} GB  ${disk.transport || '?'}`,
		`    serial   ${disk.serial || '(none)'}`,
		`    wwid     ${disk.wwids.join(', ') || '(none)'}`,
		`    contents ${disk.contents}`,
		`    ${verdict}`,
	].join('\n');
}

/** Why a disk is not the one to install to. */
function refuseInstall(disk: Disk): string | undefined {
	const foreign = disk.mounts.find(mount => mount !== target && !mount.startsWith(`${target}/`));
	return disk.barred ?? (foreign === undefined ? undefined : `it is in use: mounted at ${foreign}`);
}

/** All disks and why each was taken or refused. */
export function explainDisks(
	selector: Selector,
	disks: readonly Disk[],
	refuse: (disk: Disk) => string | undefined = refuseInstall,
): string {
	const verdicts = disks.map(disk => {
		const reason = refuse(disk) ?? findMismatch(selector, disk);
		return formatDisk(disk, reason ? `refused: ${reason}` : 'matches the selector');
	});
	return verdicts.join('\n') || '  (this machine shows no disk at all)';
}

/** The status of an install as it is when nothing more fails: what the disk keeps, which is let go of last. */
export const endedPath = '/run/bringup/ended.json';

/** Where the disk that was picked is on record until the next boot: every phase must come to the same. */
export const choicePath = '/run/bringup/disk.txt';

/** The one disk that the selector matches. Throws, with every disk explained, when it is not exactly one. */
export async function chooseDisk({disk: selector}: Install, probe: Probe): Promise<Disk> {
	const disks = await readDisks(probe);
	const matches = disks.filter(disk => !refuseInstall(disk) && !findMismatch(selector, disk));
	const [only] = matches;
	if (only && matches.length === 1) {
		const earlier = (await probe.read(choicePath))?.split('\n')[0];
		if (earlier === undefined || earlier === only.path) return only;
		throw new Error(
			`the disks have changed since one was picked (${earlier}, now ${only.path}: ${only.name}); boot the medium again`,
		);
	}
	const example = (matches[0] ?? disks.find(disk => !refuseInstall(disk))) as Disk | undefined;
	const named = example?.wwids[0] ? `wwid: ${example.wwids[0]}` : `serial: ${example?.serial || '…'}`;
	throw new Error(
		[
			`install.disk must match exactly one disk and matches ${matches.length}`,
			explainDisks(selector, disks),
			'nothing was changed. Name the disk in the profile, build the medium again and boot it:',
			`  install: {disk: {${named}}}`,
		].join('\n'),
	);
}
