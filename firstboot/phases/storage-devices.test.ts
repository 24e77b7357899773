import test from 'ava';
import {mountsOf} from '../folders.test.machine.ts';
import type {RecordedMachine} from '../record.ts';
import {
	claimed,
	commandsOf,
	ext4,
	fast,
	given,
	grown,
	left,
	lvm,
	machine,
	md,
	ours,
	planOne,
	raid,
	report,
	right,
	system,
	volumes,
} from './storage.test.machine.ts';

const withFiles = (found: RecordedMachine, files: Record<string, string>): RecordedMachine => ({
	...found,
	files: {...found.files, ...files},
});
const making = (name: string, what: 'given' | 'empty') => ({[`/var/lib/bringup/making/${name}`]: `${what}\n`});

test('a volume that exists and is not active is activated, and neither made nor formatted', async t => {
	const unseen = machine([system, left, right, ours('sdd', 'fast', {fstype: 'LVM2_member'})], report());
	const activate = ['vgchange --activate y vg0', 'udevadm settle'];
	t.deepEqual(commandsOf(await planOne('groups', given, unseen)), activate);
	const filesystems = {scratch: given.filesystems.scratch};
	t.deepEqual(commandsOf(await planOne('filesystems', {...given, filesystems}, unseen)), activate);
});

test('a volume without a signature that is not zero at its ends is not formatted, unless it is being made', async t => {
	const found = machine([system, left, right, volumes({fstype: 'xfs', label: 'images'}, {})], report());
	const raw = withFiles(found, {'/dev/mapper/vg0-scratch': 'x'});
	await t.throwsAsync(planOne('filesystems', given, raw), {
		message: /found {3}vg0\/scratch: bytes without a signature/,
	});
	const commands = commandsOf(await planOne('filesystems', given, withFiles(raw, making('vg0-scratch', 'empty'))));
	t.deepEqual(commands, ['mkfs.ext4 -q -L scratch /dev/mapper/vg0-scratch', 'udevadm settle']);
});

test('what stood inside an array before goes when its disks were given up, and only while the array is being made', async t => {
	const inside = {children: [md({fstype: 'btrfs', label: 'old'})]};
	const found = machine([
		system,
		ours('sdb', 'left', {...raid, ...inside}),
		ours('sdc', 'right', {...raid, ...inside}),
		fast,
	]);
	const fields = {...given, filesystems: {data: given.filesystems.data}};
	for (const files of [{}, making('mirror', 'empty')])
		await t.throwsAsync(planOne('filesystems', fields, withFiles(found, files)), {
			message: /found {3}mirror: btrfs "old"/,
		});
	t.deepEqual(commandsOf(await planOne('filesystems', fields, withFiles(found, making('mirror', 'given')))), [
		'wipefs --all /dev/md127',
		'mkfs.btrfs --quiet --label data --data single /dev/md127',
		'udevadm settle',
	]);
});

test('a new volume on disks that were given up loses what lay there, on others it keeps it to be refused', async t => {
	const empty = machine([system, left, right, ours('sdd', 'fast', {fstype: 'LVM2_member'})], {
		...report(),
		...Object.fromEntries(
			Object.keys(report()).map(question => [
				question,
				{report: [{vg: [{vg_name: 'vg0'}], pv: [{pv_name: '/dev/sdd1', vg_name: 'vg0'}]}]},
			]),
		),
	});
	const create = async (files: Record<string, string>) =>
		commandsOf(await planOne('groups', given, withFiles(empty, files))).filter(command =>
			command.startsWith('lvcreate'),
		);
	t.regex((await create({}))[0] ?? '', /--wipesignatures n/);
	t.regex((await create(claimed(['fast'], {given: true})))[0] ?? '', /--wipesignatures y/);
});

test('what is made is not being made any more', async t => {
	const found = machine([system, left, right, fast], report());
	const files = {...making('vg0-scratch', 'empty'), ...making('mirror', 'given')};
	t.deepEqual(commandsOf(await planOne('filesystems', given, withFiles(found, files))), [
		'rm --force /var/lib/bringup/making/vg0-scratch',
		'rm --force /var/lib/bringup/making/mirror',
	]);
});

const state = (files: Record<string, string>) =>
	withFiles(
		machine([system, left, right, fast]),
		Object.fromEntries(Object.entries(files).map(([file, text]) => [`/sys/block/md127/md/${file}`, text])),
	);

test('an array that runs without a member is told, unless it is being mended', async t => {
	await t.throwsAsync(planOne('arrays', given, state({degraded: '1\n', sync_action: 'idle\n'})), {
		message: /found {3}it runs without 1 of its 2 members\n.*mdadm --detail \/dev\/md127/,
	});
	t.deepEqual(await planOne('arrays', given, state({degraded: '1\n', sync_action: 'recover\n'})), []);
	t.deepEqual(await planOne('arrays', given, state({degraded: '1\n', 'dev-sdb1/state': 'spare\n'})), []);
	t.deepEqual(await planOne('arrays', given, state({degraded: '0\n', sync_action: 'idle\n'})), []);
});

const uuidOf = (path: string, uuid: string) => ({
	[`wipefs --no-act --json ${path}`]: {signatures: [{type: 'linux_raid_member', uuid, label: 'any:mirror'}]},
});

test('a member that was dropped from its array is told, and one of another array of that name too', async t => {
	const alone = [system, left, ours('sdc', 'right', raid), fast];
	const uuids = (one: string, other: string) => ({
		...uuidOf('/dev/disk/by-diskseq/2-part1', one),
		...uuidOf('/dev/disk/by-diskseq/3-part1', other),
	});
	await t.throwsAsync(planOne('arrays', given, machine(alone, uuids('a', 'a'))), {
		message: /it runs without right, which was dropped from it\n.*--re-add \/dev\/disk\/by-diskseq\/3-part1/,
	});
	await t.throwsAsync(planOne('arrays', given, machine(alone, uuids('a', 'b'))), {
		message: /right is of the array b, and left of a\ntake the disk of another machine out/,
	});
	const twin = ours('sdc', 'right', {...raid, children: [md({name: 'md126'})]});
	await t.throwsAsync(planOne('arrays', given, machine([system, left, twin, fast])), {
		message: /they are in two arrays, \/dev\/md127 and \/dev\/md126/,
	});
	const nas = {fstype: 'linux_raid_member', label: 'nas:mirror'};
	await t.throwsAsync(planOne('arrays', given, machine([system, ours('sdb', 'left', nas), right, fast])), {
		message: /left holds linux_raid_member "nas:mirror"/,
	});
});

const btrfs = {...given, filesystems: {pool: {on: 'vg0/images', type: 'btrfs', mount: '/srv/pool'}}};
const shown = (bytes: number) => ({
	'btrfs filesystem show --raw /srv/pool': `Label: 'pool'  uuid: x\n\tTotal devices 1 FS bytes used 1\n\tdevid    1 size ${bytes} used 5 path /dev/mapper/vg0-images\n`,
});

test('a volume of btrfs grows with its file system, also when the power was cut between the two', async t => {
	const at = (volume: number, system: number) => {
		const disks = volumes({fstype: 'btrfs', label: 'pool', mountpoints: ['/srv/pool']}, ext4);
		return withFiles(machine([left, right, disks], {...report(volume), ...shown(system)}), mountsOf('/', '/srv/pool'));
	};
	const wide = {...btrfs, groups: grown('3G').groups};
	const [two, three] = [2 * 2 ** 30, 3 * 2 ** 30];
	t.deepEqual(commandsOf(await planOne('groups', wide, at(two, two))), [
		'lvextend --size 3221225472b vg0/images',
		'btrfs filesystem resize 1:max /srv/pool',
	]);
	t.deepEqual(commandsOf(await planOne('groups', wide, at(three, two))), ['btrfs filesystem resize 1:max /srv/pool']);
	t.deepEqual(await planOne('groups', wide, at(three, three)), []);
});

test('a volume of another group of that name on another disk is not ours', async t => {
	const other = ours('sdx', 'other', {fstype: 'LVM2_member', children: [lvm('vg0-images', {})]});
	await t.throwsAsync(
		planOne(
			'groups',
			given,
			machine([left, right, ours('sdd', 'fast'), other], {
				...Object.fromEntries(
					Object.entries(report()).map(([question]) => [
						question,
						{report: [{vg: [{vg_name: 'vg0'}], pv: [{pv_name: '/dev/sdx1', vg_name: 'vg0'}]}]},
					]),
				),
			}),
		),
		{message: /on \/dev\/sdx1, which is none of these/},
	);
});
