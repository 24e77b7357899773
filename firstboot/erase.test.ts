import test from 'ava';
import {type Node, readDisks} from './disks.ts';
import {planStops} from './erase.ts';
import {disk, lvm, machine, md, part, type Row} from './phases/storage.test.machine.ts';
import {probeRecord} from './record.ts';

/** The steps that stop what runs on the disks of these names, and what each is run on. */
async function stops(rows: readonly Row[], ...names: string[]): Promise<string[]> {
	const found = machine(rows);
	const [[, answer] = []] = Object.entries(found.commands).filter(([command]) => command.startsWith('lsblk'));
	const devices = (answer as {blockdevices: Node[]}).blockdevices;
	const disks = await readDisks(probeRecord(found));
	const given = names.map(name => ({
		disk: disks.find(disk => disk.name === name) as (typeof disks)[number],
		node: devices.find(device => device.name === name) as Node,
		consent: 'wipe',
	}));
	return planStops(given, devices).map(step => {
		if (step.do !== 'run') return step.do;
		return step.on?.length === names.length ? step.command.join(' ') : `on ${step.on?.length}`;
	});
}

test('a group with snapshots and a thin pool is stopped once, by its name', async t => {
	const vm = lvm('pve-vm--100--disk--0');
	const pool = lvm('pve-data-tpool', {children: [lvm('pve-data'), vm]});
	const children = [
		lvm('pve-root', {fstype: 'ext4'}),
		lvm('pve-data_tmeta', {children: [pool]}),
		lvm('pve-data_tdata', {children: [pool]}),
		lvm('pve-root-real', {children: [lvm('pve-snap', {fstype: 'ext4', ro: true})]}),
	];
	const old = disk('sda', 'OLD', {pttype: 'gpt', children: [part('sda3', '', {fstype: 'LVM2_member', children})]});
	t.deepEqual(await stops([old], 'sda'), ['wipefs --all /dev/mapper/pve-root', 'vgchange --activate n pve']);
});

test('an array with partitions goes from the inside out', async t => {
	const array = md({name: 'md0', pttype: 'gpt', children: [part('md0p1', '', {fstype: 'ext4'})]});
	const old = disk('sda', 'OLD', {pttype: 'gpt', children: [part('sda1', '', {children: [array]})]});
	t.deepEqual(await stops([old], 'sda'), ['wipefs --all /dev/md0p1', 'wipefs --all /dev/md0', 'mdadm --stop /dev/md0']);
});

test('what is in a container of DDF or IMSM is stopped before it, and each once', async t => {
	const volume = md({name: 'md126', type: 'raid0', pttype: 'dos', children: [part('md126p1', '', {fstype: 'xfs'})]});
	const container = md({name: 'md127', type: 'md', size: 0});
	const member = (name: string) =>
		disk(name, name.toUpperCase(), {fstype: 'ddf_raid_member', children: [container, volume]});
	const wanted = [
		'wipefs --all /dev/md126p1',
		'wipefs --all /dev/md126',
		'mdadm --stop /dev/md126',
		'mdadm --stop /dev/md127',
	];
	t.deepEqual(await stops([member('sda'), member('sdb')], 'sda', 'sdb'), wanted);
	t.deepEqual(await stops([member('sda'), member('sdb')], 'sda'), wanted);
});

test('a group on an array is stopped before the array', async t => {
	const array = md({name: 'md0', fstype: 'LVM2_member', children: [lvm('old-home', {fstype: 'ext4'})]});
	const old = disk('sda', 'OLD', {children: [part('sda1', '', {children: [array]})]});
	t.deepEqual(await stops([old], 'sda'), [
		'wipefs --all /dev/mapper/old-home',
		'vgchange --activate n old',
		'wipefs --all /dev/md0',
		'mdadm --stop /dev/md0',
	]);
});

test('a group that lies on another disk too, an open LUKS, a mount or bcache is left alone', async t => {
	const on = (name: string, ...children: Row[]) => disk(name, name, {children: [part(`${name}1`, '', {children})]});
	const wide = [on('sda', lvm('vg-a')), on('sdb', lvm('vg-a'))];
	await t.throwsAsync(stops(wide, 'sda'), {message: /the volume group vg lies on \/dev\/sdb too, which is to stay/});
	t.deepEqual(await stops(wide, 'sda', 'sdb'), ['vgchange --activate n vg']);
	const crypt = lvm('luks-1', {type: 'crypt', fstype: 'ext4'});
	await t.throwsAsync(stops([on('sda', crypt)], 'sda'), {message: /luks-1 \(crypt\) is open.*cryptsetup close luks-1/});
	await t.throwsAsync(stops([disk('sda', 'A', {children: [disk('bcache0', '')]})], 'sda'), {
		message: /bcache0 \(disk\)/,
	});
	const mounted = lvm('vg-a', {mountpoints: ['/srv/a']});
	await t.throwsAsync(stops([on('sda', mounted)], 'sda'), {message: /vg-a is in use at \/srv\/a/});
});
