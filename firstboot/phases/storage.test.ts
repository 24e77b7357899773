import test from 'ava';
import {foldersOf, mountsOf} from '../folders.test.machine.ts';
import {listEnabled, listUnits, type Step} from '../phase.ts';
import type {RecordedMachine} from '../record.ts';
import {
	blank,
	claimed,
	commandsOf,
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
	planAll,
	planOne,
	raid,
	report,
	right,
	system,
	volumes,
} from './storage.test.machine.ts';

const withSubvolumes = (found: RecordedMachine, ...names: string[]): RecordedMachine => {
	const folders = foldersOf(names.map(name => `/srv/data/${name}\td\t0\t0\t256`));
	return {
		...found,
		files: {...found.files, ...folders, ...mountsOf('/', '/srv/data', '/srv/scratch', '/var/lib/images')},
	};
};
const done = withSubvolumes(machine([system, left, right, fast], report()), ...['photos', 'backups', 'mine']);
const whys = (steps: readonly Step[] = []) => steps.map(({why}) => why);

const claims = ['left', 'right', 'fast'].map(name => `write /var/lib/bringup/claims/${name}.json`);

test('blank disks become what the profile says, in one plan', async t => {
	const plans = await planAll(given, machine(blank));
	t.deepEqual(Object.fromEntries(Object.entries(plans).map(([phase, steps]) => [phase, commandsOf(steps)])), {
		'data-disks': [
			...claims,
			...[1, 2, 3].flatMap(number => [
				`sfdisk --wipe-partitions never /dev/disk/by-diskseq/${number + 1}`,
				'udevadm settle',
				claims[number - 1] ?? '',
			]),
		],
		arrays: [
			'write /var/lib/bringup/making/mirror',
			'mdadm --create /dev/md/mirror --metadata 1.2 --name mirror --homehost any --level 1 --bitmap internal --raid-devices 2 /dev/disk/by-diskseq/2-part1 /dev/disk/by-diskseq/3-part1',
			'udevadm settle',
		],
		groups: [
			'vgcreate vg0 /dev/disk/by-diskseq/4-part1',
			'write /var/lib/bringup/making/vg0-images',
			'lvcreate --yes --wipesignatures n --name images --size 2147483648b vg0',
			'write /var/lib/bringup/making/vg0-scratch',
			'lvcreate --yes --wipesignatures n --name scratch --extents 100%FREE vg0',
		],
		filesystems: [
			'write /var/lib/bringup/making/vg0-images',
			'mkfs.xfs -q -L unfinished /dev/vg0/images',
			'xfs_admin -L images /dev/vg0/images',
			'udevadm settle',
			'write /var/lib/bringup/making/vg0-scratch',
			'mkfs.ext4 -q -L scratch /dev/vg0/scratch',
			'udevadm settle',
			'write /var/lib/bringup/making/mirror',
			'mkfs.btrfs --quiet --label data --data single /dev/md/mirror',
			'udevadm settle',
		],
		mounts: [
			'write /etc/systemd/system/var-lib-images.mount',
			'write /etc/systemd/system/srv-scratch.mount',
			'write /etc/systemd/system/srv-data.mount',
			'write /etc/systemd/system/bringup-scrub@.service',
			'write /etc/systemd/system/bringup-scrub@.timer',
			'systemctl daemon-reload',
			'systemctl enable --now var-lib-images.mount srv-scratch.mount srv-data.mount bringup-scrub@srv-data.timer',
		],
		subvolumes: ['btrfs subvolume create /srv/data/photos', 'btrfs subvolume create /srv/data/backups'],
		pools: [],
		datasets: [],
	});
	const [first, , , table] = plans['data-disks'] ?? [];
	const id = first?.do === 'write' ? (JSON.parse(first.content) as {table: string}).table : '';
	t.is(table?.do === 'run' ? table.stdin : '', `label: gpt\nlabel-id: ${id}\nname=bringup-left\n`);
	t.is(table?.why, 'partition sdb (EXAMPLE HDD, LEFT) as left; it is empty');
});

test('disks that are as the profile says need nothing, also where it says wipe', async t => {
	const disks = Object.fromEntries(
		Object.entries(given.disks).map(([name, fields]) => [name, {...fields, wipe: true}]),
	);
	const files = Object.fromEntries(
		((await planAll(given, machine(blank)))['mounts'] ?? []).flatMap(step =>
			step.do === 'write' ? [[step.path, step.content]] : [],
		),
	);
	const units = ['var-lib-images.mount', 'srv-scratch.mount', 'srv-data.mount', 'bringup-scrub@srv-data.timer'];
	const mountedAll = {
		...done,
		commands: {
			...done.commands,
			[listUnits.join(' ')]: units.map(unit => `${unit} loaded active mounted ${unit}\n`).join(''),
			[listEnabled.join(' ')]: units.map(unit => `${unit}\n`).join(''),
		},
		files: {...done.files, ...files, ...claimed()},
	};
	for (const fields of [given, {...given, disks}])
		t.deepEqual(Object.values(await planAll(fields, mountedAll)).flat(), []);
});

const photos = disk('sdb', 'LEFT', {
	pttype: 'gpt',
	children: [part('sdb1', 'Basic data', {fstype: 'ntfs', label: 'Photos'})],
});

test('foreign data is refused with what it is and what to say, and erased where the profile says wipe', async t => {
	await t.throwsAsync(planOne('data-disks', only('left'), machine([system, photos])), {
		message: [
			'storage.disks.left: sdb (EXAMPLE HDD, LEFT) carries data that is not ours',
			'  wanted  empty, or a partition bringup-left',
			'  found   gpt partition table, sdb1: ntfs "Photos" (Basic data)',
			'nothing was changed. If what is on it may go, erase it yourself (wipefs --all), or say so in the profile:',
			'  storage: {disks: {left: {wipe: true}}}',
		].join('\n'),
	});
	const steps = await planOne('data-disks', only('left', {wipe: true}), machine([system, photos]));
	t.deepEqual(commandsOf(steps), [
		claims[0],
		'wipefs --all /dev/disk/by-diskseq/2-part1',
		'wipefs --all /dev/disk/by-diskseq/2',
		'blkdiscard --zeroout --offset 0 --length 8388608 /dev/disk/by-diskseq/2',
		'blkdiscard --zeroout --offset 3999991611392 --length 8388608 /dev/disk/by-diskseq/2',
		'sfdisk --wipe-partitions always /dev/disk/by-diskseq/2',
		'udevadm settle',
		claims[0],
	]);
	for (const step of steps.slice(1, -2)) t.true(step.do === 'run' && step.on?.[0]?.disk === '/dev/disk/by-diskseq/2');
	for (const why of whys(steps).slice(1, 3))
		t.regex(why, /^erase .*ntfs "Photos".* on sdb \(EXAMPLE HDD, serial LEFT; storage\.disks\.left\.wipe\): /);
});

test('what runs on a disk that is erased is stopped first, from the top', async t => {
	const home = md({name: 'md0', fstype: 'LVM2_member', children: [lvm('old-home', {fstype: 'ext4'})]});
	const old = disk('sdb', 'LEFT', {pttype: 'gpt', children: [part('sdb1', 'old', {...raid, children: [home]})]});
	const steps = await planOne('data-disks', only('left', {wipe: true}), machine([system, old]));
	t.deepEqual(commandsOf(steps).slice(1, 6), [
		'wipefs --all /dev/mapper/old-home',
		'vgchange --activate n old',
		'wipefs --all /dev/md0',
		'mdadm --stop /dev/md0',
		'wipefs --all /dev/disk/by-diskseq/2-part1',
	]);
	for (const why of whys(steps).slice(1, 4)) t.regex(why, /to erase sdb \(storage\.disks\.left\.wipe\)/);
});

test('an array that lies on two disks that are erased is stopped once, before either is', async t => {
	const old = ['b', 'c'].map((letter, at) => {
		const member = part(`sd${letter}1`, 'old', {...raid, children: [md({name: 'md0', fstype: 'ext4'})]});
		return disk(`sd${letter}`, at === 0 ? 'LEFT' : 'RIGHT', {pttype: 'gpt', children: [member]});
	});
	const fields = {disks: {left: {serial: 'LEFT', wipe: true}, right: {serial: 'RIGHT', wipe: true}}};
	const commands = commandsOf(await planOne('data-disks', fields, machine([system, ...old])));
	t.deepEqual(
		commands.filter(command => /mdadm|wipefs --all/.test(command)),
		[
			'wipefs --all /dev/md0',
			'mdadm --stop /dev/md0',
			'wipefs --all /dev/disk/by-diskseq/2-part1',
			'wipefs --all /dev/disk/by-diskseq/2',
			'wipefs --all /dev/disk/by-diskseq/3-part1',
			'wipefs --all /dev/disk/by-diskseq/3',
		],
	);
});

const half = [system, left, right, volumes({fstype: 'xfs', label: 'unfinished'}, ext4)];
const readImages = 'wipefs --no-act --json /dev/mapper/vg0-images';

test('a file system of xfs that a power cut left half-made is removed and made again', async t => {
	const found = machine(half, {[readImages]: {signatures: [{type: 'xfs', uuid: null, label: 'unfinished'}]}});
	t.deepEqual(commandsOf(await planOne('filesystems', given, found)), [
		'write /var/lib/bringup/making/vg0-images',
		'wipefs --all /dev/mapper/vg0-images',
		'mkfs.xfs -q -L unfinished /dev/mapper/vg0-images',
		'xfs_admin -L images /dev/mapper/vg0-images',
		'udevadm settle',
	]);
});

test('a file system that only udev takes for half-made is not erased', async t => {
	const found = machine(half, {[readImages]: {signatures: [{type: 'xfs', uuid: null, label: 'images'}]}});
	t.deepEqual(await planOne('filesystems', given, found), []);
});

test('a blank disk in the place of a dead one is added to its array', async t => {
	const found = machine([system, ours('sdb', 'left'), right, fast], report());
	t.deepEqual(commandsOf(await planOne('arrays', given, found)), [
		'mdadm --manage /dev/md127 --add /dev/disk/by-diskseq/2-part1',
	]);
});

test('a volume grows with its file system; one that rounding made larger stays', async t => {
	const at = (bytes: number) => machine([system, left, right, fast], report(bytes));
	t.deepEqual(commandsOf(await planOne('groups', grown('3G'), at(2 * 2 ** 30))), [
		'lvextend --resizefs --size 3221225472b vg0/images',
	]);
	t.deepEqual(await planOne('groups', grown('1GB'), at(1002438656)), []);
});

test('a group gets the member that it lacks, and a file system of btrfs every device', async t => {
	const wide = {...given, groups: {vg0: {members: ['fast', 'left'], volumes: {}}}, arrays: {}};
	const found = machine([system, ours('sdb', 'left'), ours('sdc', 'right'), fast], report());
	t.deepEqual(commandsOf(await planOne('groups', wide, found)), ['vgextend vg0 /dev/disk/by-diskseq/2-part1']);
	const pool = {pool: {on: ['left', 'right'], type: 'btrfs', raid: 'raid1', mount: '/srv/pool'}};
	const [, , make] = commandsOf(await planOne('filesystems', {disks: given.disks, filesystems: pool}, found));
	t.regex(make ?? '', /--data raid1 --metadata raid1 \S+by-diskseq\/2-part1 \S+by-diskseq\/3-part1$/);
});

test('a subvolume that lacks is made, and one that the profile does not name stays', async t => {
	const found = withSubvolumes(done, 'photos', 'mine');
	t.deepEqual(commandsOf(await planOne('subvolumes', given, found)), ['btrfs subvolume create /srv/data/backups']);
});
