import test from 'ava';
import {PartsError} from '../phase.ts';
import type {RecordedMachine} from '../record.ts';
import {
	disk,
	ext4,
	fast,
	given,
	grown,
	left,
	lvm,
	machine,
	md,
	only,
	ours,
	part,
	planOne,
	raid,
	report,
	right,
	storagePhases,
	system,
	volumes,
} from './storage.test.machine.ts';

const lying = (path: string) => ({
	[`wipefs --no-act --json ${path}`]: {signatures: [{type: 'zfs_member', label: 'tank'}]},
});
const rootOnLvm = disk('sda', 'SYSTEM', {
	children: [part('sda1', 'pv', {children: [lvm('s-root', {mountpoints: ['/']})]})],
});

const refused: [title: string, phase: string, fields: object, found: RecordedMachine, message: RegExp][] = [
	[
		'two disks that match one selector are refused, with both',
		'data-disks',
		{disks: {left: {model: 'EXAMPLE*'}}},
		machine([disk('sdb', 'A'), disk('sdc', 'B')]),
		/storage\.disks\.left must match exactly one disk and matches 2\n[\s\S]*serial {3}A\n[\s\S]*matches the selector\n[\s\S]*serial {3}B\n[\s\S]*by one of these lines:\n {2}storage: \{disks: \{left: \{serial: "A"\}\}\}\n/,
	],
	[
		'one disk is not given two names',
		'data-disks',
		{disks: {left: {serial: 'LEFT'}, other: {model: 'EXAMPLE*', serial: 'LEFT'}}},
		machine([disk('sdb', 'LEFT')]),
		/storage\.disks\.left and storage\.disks\.other are the same disk, sdb/,
	],
	[
		'the system disk is never taken, whatever the profile says',
		'data-disks',
		{disks: {left: {serial: 'SYSTEM', wipe: true}}},
		machine([system]),
		/matches 0\n[\s\S]*refused: it is the system disk: mounted at \/\n/,
	],
	[
		'the system disk is known through LVM',
		'data-disks',
		{disks: {left: {serial: 'SYSTEM', wipe: true}}},
		machine([rootOnLvm]),
		/refused: it is the system disk: mounted at \/\n/,
	],
	[
		'a stick is never taken',
		'data-disks',
		{disks: {left: {serial: 'LEFT', wipe: true}}},
		machine([disk('sdb', 'LEFT', {rm: true})]),
		/refused: it is removable/,
	],
	[
		'a disk that udev calls blank and wipefs does not is refused',
		'data-disks',
		only('left'),
		machine([disk('sdb', 'LEFT')], lying('/dev/disk/by-diskseq/1')),
		/sdb \(EXAMPLE HDD, LEFT\) carries data that is not ours/,
	],
	[
		'a member of an array that udev calls blank and wipefs does not is refused',
		'arrays',
		given,
		machine([ours('sdb', 'left'), ours('sdc', 'right')], lying('/dev/disk/by-diskseq/2-part1')),
		/the array mirror[\s\S]*right holds zfs_member "tank"\nif it may go: wipefs --all \/dev\/disk\/by-diskseq\/2-part1/,
	],
	[
		'a member of a group that udev calls blank and wipefs does not is refused',
		'groups',
		given,
		machine([ours('sdd', 'fast')], lying('/dev/disk/by-diskseq/1-part1')),
		/the volume group vg0[\s\S]*fast holds zfs_member "tank"/,
	],
	[
		'a volume that udev calls blank and wipefs does not is refused',
		'filesystems',
		given,
		machine([left, right, volumes({}, ext4)], lying('/dev/mapper/vg0-images')),
		/the file system images[\s\S]*vg0\/images: zfs_member "tank"[\s\S]*wipefs --all \/dev\/mapper\/vg0-images/,
	],
	[
		'a partition of our name on another disk than the profile says is told',
		'data-disks',
		only('left'),
		machine([disk('sdb', 'LEFT'), disk('sdc', 'OTHER', {children: [part('sdc1', 'bringup-left')]})]),
		/the partition bringup-left is on \/dev\/sdc1, and storage\.disks\.left is sdb/,
	],
	[
		'two partitions of one name are told, before anything goes to one of them',
		'data-disks',
		only('left'),
		machine([ours('sdb', 'left'), disk('sdc', 'OTHER', {children: [part('sdc1', 'bringup-left')]})]),
		/two partitions are named bringup-left: \/dev\/sdb1, \/dev\/sdc1; take the disk of another machine out/,
	],
	[
		'an array of another level is left to a person',
		'arrays',
		given,
		machine(
			['left', 'right'].map((name, at) => ours(`sd${'bc'[at]}`, name, {...raid, children: [md({type: 'raid0'})]})),
		),
		/the array mirror[\s\S]*wanted {2}raid1\n {2}found {3}raid0\n/,
	],
	[
		'an array that does not run is not made anew',
		'arrays',
		given,
		machine([ours('sdb', 'left', raid), ours('sdc', 'right')]),
		/left belongs to it, and it is not running\n[\s\S]*mdadm --assemble/,
	],
	[
		'a member of another array is not taken',
		'arrays',
		given,
		machine([ours('sdb', 'left', {fstype: 'linux_raid_member', label: 'other:pool'}), ours('sdc', 'right')]),
		/left holds linux_raid_member "other:pool"/,
	],
	[
		'a member of another group is not taken',
		'groups',
		given,
		machine([fast], report(2 ** 30, 'old')),
		/fast belongs to old\n.*vgrename/,
	],
	[
		'a volume is never made smaller',
		'groups',
		grown('1G'),
		machine([fast], report()),
		/the volume vg0\/images[\s\S]*wanted {2}1G\n {2}found {3}2\.0G\n.*never made smaller/,
	],
	[
		'a file system of another type or label is kept',
		'filesystems',
		given,
		machine([left, right, volumes({fstype: 'ext4', label: 'unfinished'}, ext4)]),
		/wanted {2}xfs "images" on vg0\/images\n {2}found {3}vg0\/images: ext4 "unfinished"\nnothing was changed/,
	],
	[
		'a file system that covers some of its devices only is not made anew',
		'filesystems',
		{
			disks: given.disks,
			filesystems: {pool: {on: ['left', 'right'], type: 'btrfs', raid: 'raid1', mount: '/srv/pool'}},
		},
		machine([ours('sdb', 'left', {fstype: 'btrfs', label: 'pool'}), ours('sdc', 'right')]),
		/found {3}left: btrfs "pool", right: blank/,
	],
	[
		'a label that another disk has too is refused: it would be mounted in its place',
		'filesystems',
		given,
		machine([
			left,
			right,
			fast,
			disk('sde', 'OLD', {children: [part('sde1', 'old', {fstype: 'xfs', label: 'images'})]}),
		]),
		/the file system images[\s\S]*another on \/dev\/sde1\n[\s\S]*another label/,
	],
	[
		'a group of our name on foreign disks is not extended with ours',
		'groups',
		given,
		machine([left, right, ours('sdx', 'fast')], report()),
		/the volume group vg0[\s\S]*on \/dev\/sdd1, which is none of these/,
	],
	[
		'what was made under another name is not erased, whatever wipe says',
		'data-disks',
		{disks: {data: {serial: 'LEFT', wipe: true}}},
		machine([ours('sdb', 'left', ext4)]),
		/holds bringup-left, which was made for another name/,
	],
];

for (const [title, phase, fields, found, message] of refused)
	test(title, async t => {
		await t.throwsAsync(planOne(phase, fields, found), {message});
	});

test('no phase takes a machine that cannot answer for one with blank disks', async t => {
	const pools = {tank: {vdevs: [{type: 'disk', members: ['fast']}]}};
	const files = {'/sys/module/zfs/version': '2.3.9\n', '/etc/hostid': 'xxxx'};
	for (const {name} of storagePhases)
		await t.throwsAsync(
			planOne(name, {...given, pools}, {commands: {}, files}),
			{message: /no answer|is missing/},
			name,
		);
});

test('of two disks of a mirror one is gone: the other data disk is still partitioned, and the refusal names the one', async t => {
	const error = await t.throwsAsync(planOne('data-disks', given, machine([system, left, disk('sdd', 'FAST')])), {
		instanceOf: PartsError,
		message: /^storage\.disks\.right must match exactly one disk and matches 0/,
	});
	t.deepEqual([...(error?.parts.keys() ?? [])], ['right']);
	t.true(error?.steps.some(({part, why}) => part === 'fast' && /partition/.test(why)));
});
