import {listBlockDevices} from '../disks.ts';
import {mountsOf} from '../folders.test.machine.ts';
import {listEnabled, listUnits, type Step} from '../phase.ts';
import {probeRecord, type RecordedMachine} from '../record.ts';
import {type Machine, planSequence, sequences} from '../sequence.ts';
import {storageSchema} from '../volumes.ts';

/** What groups.ts asks of LVM. */
const fullReport = [
	'lvm fullreport --reportformat json --units b --nosuffix --configreport vg --options vg_name',
	'--configreport pv --options pv_name,vg_name --configreport lv --options vg_name,lv_name,lv_size',
	'--configreport pvseg --options pvseg_start --configreport seg --options seg_start',
].join(' ');

/** A device as lsblk shows it; what is left out is what a blank one has. */
export interface Row {
	name: string;
	path?: string;
	type?: string;
	model?: string;
	serial?: string;
	rm?: boolean;
	ro?: boolean;
	size?: number;
	fstype?: string;
	label?: string;
	pttype?: string;
	partlabel?: string;
	mountpoints?: string[];
	children?: Row[];
}

const flatten = (row: Row): Row[] => [row, ...(row.children ?? []).flatMap(flatten)];

function fill({children, ...row}: Row): object {
	const blank = {size: 4e12, model: null, serial: null, wwn: null, tran: 'sata', rm: false, ro: false};
	const empty = {fstype: null, label: null, pttype: null, partlabel: null, mountpoints: [null]};
	const inside = children ? {children: children.map(fill)} : {};
	return {path: `/dev/${row.name}`, type: 'disk', ...blank, ...empty, ...row, ...inside};
}

/** A machine with these disks. What wipefs reads is what udev remembers, unless it is said. */
export function machine(disks: readonly Row[], commands: Record<string, unknown> = {}): RecordedMachine {
	const sequence = Object.fromEntries(disks.map(({name}, index) => [`/sys/block/${name}/diskseq`, `${index + 1}\n`]));
	const read = (path: string, {fstype, label, pttype}: Row) => {
		const type = fstype ?? pttype;
		return [`wipefs --no-act --json ${path}`, {signatures: type ? [{type, uuid: null, label: label ?? null}] : []}];
	};
	// Of each partition, by the number at the end of its name.
	const partitions = disks.flatMap(({children = []}, index) =>
		children.flatMap(row =>
			row.type === 'part' ? [read(`/dev/disk/by-diskseq/${index + 1}-part${/\d+$/.exec(row.name)?.[0]}`, row)] : [],
		),
	);
	const tables = disks.flatMap(({pttype, children = []}, index) => {
		if (pttype !== 'gpt') return [];
		const found = children.flatMap(({name, type, partlabel}) =>
			type === 'part' ? [{node: name, name: partlabel}] : [],
		);
		return [[`sfdisk --json /dev/disk/by-diskseq/${index + 1}`, {partitiontable: {id: 'A', partitions: found}}]];
	});
	return {
		commands: {
			...Object.fromEntries(partitions),
			...Object.fromEntries(tables),
			[listBlockDevices.join(' ')]: {blockdevices: disks.map(fill)},
			...Object.fromEntries(disks.map((disk, index) => read(`/dev/disk/by-diskseq/${index + 1}`, disk))),
			...Object.fromEntries(disks.flatMap(flatten).map(row => read(row.path ?? `/dev/${row.name}`, row))),
			[fullReport]: {report: []},
			[listUnits.join(' ')]: '',
			[listEnabled.join(' ')]: '',
			...commands,
		},
		files: {
			...sequence,
			...mountsOf('/'),
			...Object.fromEntries(disks.map((_, at) => [`/dev/disk/by-diskseq/${at + 1}`, ''])),
		},
	};
}

/** A disk; its name, its serial. */
export const disk = (name: string, serial: string, more: Partial<Row> = {}): Row => ({
	name,
	serial,
	model: 'EXAMPLE HDD',
	...more,
});

/** A partition; its name, its label in the table. */
export const part = (name: string, partlabel: string, more: Partial<Row> = {}): Row => ({
	name,
	type: 'part',
	partlabel,
	...more,
});

/** The disk that the machine runs from. */
export const system = disk('sda', 'SYSTEM', {
	pttype: 'gpt',
	children: [part('sda3', 'bringup-root', {fstype: 'ext4', label: 'bringup-root', mountpoints: ['/']})],
});

/** An array of md, below each of its members. */
export const md = (more: Partial<Row> = {}): Row => ({name: 'md127', type: 'raid1', ...more});

/** What stands on a member of our array. */
export const raid = {fstype: 'linux_raid_member', label: 'any:mirror'};

/** A logical volume, as GROUP-VOLUME. */
export const lvm = (name: string, more: Partial<Row> = {}): Row => ({
	name,
	path: `/dev/mapper/${name}`,
	type: 'lvm',
	...more,
});

const btrfs = md({fstype: 'btrfs', label: 'data', mountpoints: ['/srv/data']});

/** A data disk with its one partition, and what is in it. */
export const ours = (name: string, label: string, more: Partial<Row> = {}): Row =>
	disk(name, label.toUpperCase(), {pttype: 'gpt', children: [part(`${name}1`, `bringup-${label}`, more)]});

/** Half of the mirror, as the profile has it. */
export const left = ours('sdb', 'left', {...raid, children: [btrfs]});

/** The other half. */
export const right = ours('sdc', 'right', {...raid, children: [btrfs]});

/** The disk of the group, with what is on its two volumes. */
export const volumes = (images: Partial<Row>, scratch: Partial<Row>) =>
	ours('sdd', 'fast', {fstype: 'LVM2_member', children: [lvm('vg0-images', images), lvm('vg0-scratch', scratch)]});

const xfs = {fstype: 'xfs', label: 'images', mountpoints: ['/var/lib/images']};

/** What stands on the volume scratch. */
export const ext4 = {fstype: 'ext4', label: 'scratch', mountpoints: ['/srv/scratch']};

/** The disk of the group, as the profile has it. */
export const fast = volumes(xfs, ext4);

/** The machine as it comes from the shop. */
export const blank = [system, disk('sdb', 'LEFT'), disk('sdc', 'RIGHT'), disk('sdd', 'FAST')];

/** What LVM says: the size of vg0/images in bytes, and the group. */
export const report = (images = 2 * 2 ** 30, group = 'vg0') => ({
	[fullReport]: {
		report: [
			{
				vg: [{vg_name: group}],
				pv: [{pv_name: '/dev/sdd1', vg_name: group}],
				lv: [
					{vg_name: group, lv_name: 'images', lv_size: String(images)},
					{vg_name: group, lv_name: 'scratch', lv_size: '1000000000000'},
				],
			},
		],
	},
});

/** The section storage of these tests. */
export const given = {
	disks: {left: {serial: 'LEFT'}, right: {serial: 'RIGHT'}, fast: {serial: 'FAST'}},
	arrays: {mirror: {level: 'raid1', members: ['left', 'right']}},
	groups: {vg0: {members: ['fast'], volumes: {images: {size: '2G'}, scratch: {size: 'rest'}}}},
	filesystems: {
		images: {on: 'vg0/images', type: 'xfs', mount: '/var/lib/images'},
		scratch: {on: 'vg0/scratch', type: 'ext4', mount: '/srv/scratch', options: ['noatime']},
		data: {on: 'mirror', type: 'btrfs', mount: '/srv/data', subvolumes: ['photos', 'backups']},
	},
};

/** The phases that read the section. */
export const storagePhases = sequences.provision.filter(({section}) => section === 'storage');

/** What is on record of the data disks once they are partitioned. */
export const claimed = (names: readonly string[] = ['left', 'right', 'fast'], more: object = {}) =>
	Object.fromEntries(
		names.map(name => {
			const claim = {serial: name.toUpperCase(), wwids: [], given: false, state: 'done', ...more};
			return [`/var/lib/bringup/claims/${name}.json`, `${JSON.stringify(claim, undefined, '\t')}\n`];
		}),
	);

/** The steps of all phases of the section, by phase. */
export async function planAll(fields: object, found: RecordedMachine): Promise<Record<string, Step[]>> {
	const config: Machine = {schema: 1, profile: 'nas', storage: storageSchema.parse(fields)};
	const plans = await planSequence(storagePhases, config, probeRecord(found));
	return Object.fromEntries(plans.map(({phase, steps}) => [phase, steps]));
}

/** The steps of one phase; the other phases are not asked. */
export async function planOne(phase: string, fields: object, found: RecordedMachine): Promise<Step[]> {
	const entry = storagePhases.find(({name}) => name === phase);
	if (!entry) throw new Error(`no phase ${phase} reads the section`);
	return entry.phase.plan(storageSchema.parse(fields), probeRecord(found));
}

/** Steps as command lines. */
export const commandsOf = (steps: readonly Step[] = []) =>
	steps.map(step => (step.do === 'run' ? step.command.join(' ') : `${step.do} ${'path' in step ? step.path : ''}`));

/** The section with one disk, and what is said of it beside its serial. */
export const only = (name: 'left' | 'right' | 'fast', fields: object = {}) => ({
	disks: {[name]: {...given.disks[name], ...fields}},
});

/** The section with another size of vg0/images. */
export const grown = (size: string) => ({...given, groups: {vg0: {members: ['fast'], volumes: {images: {size}}}}});
