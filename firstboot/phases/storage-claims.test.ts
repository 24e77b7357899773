import test from 'ava';
import type {RecordedMachine} from '../record.ts';
import {blank, claimed, commandsOf, disk, machine, only, ours, part, planOne, system} from './storage.test.machine.ts';

const withFiles = (found: RecordedMachine, files: Record<string, string>): RecordedMachine => ({
	...found,
	files: {...found.files, ...files},
});
const photos = (serial: string) =>
	disk('sdb', serial, {pttype: 'gpt', children: [part('sdb1', 'Basic data', {fstype: 'ntfs', label: 'Photos'})]});
const wipe = only('left', {wipe: true});
const sdb = '/dev/disk/by-diskseq/2';

test('a partition that udev has not seen is read from the disk, and never erased', async t => {
	const bare = machine([system, disk('sdb', 'LEFT', {pttype: 'gpt'})], {
		[`sfdisk --json ${sdb}`]: {partitiontable: {id: 'A', partitions: [{node: `${sdb}-part1`, name: 'bringup-left'}]}},
	});
	t.deepEqual(commandsOf(await planOne('data-disks', wipe, bare)), [
		'udevadm trigger --settle --parent-match=/sys/block/sdb',
	]);
	await t.throwsAsync(planOne('data-disks', {disks: {other: {serial: 'LEFT', wipe: true}}}, bare), {
		message: /holds bringup-left, which was made for another name/,
	});
});

test('a data disk that cannot be read at both ends is not blank, whatever is said', async t => {
	const found = machine(blank);
	const {[sdb]: _, ...files} = found.files;
	for (const fields of [only('left'), wipe])
		await t.throwsAsync(planOne('data-disks', fields, {...found, files}), {
			message: /by-diskseq\/2 cannot be read in its first 8 MiB, so it is not blank/,
		});
});

test('a data disk that has no signature and is not zero at its ends goes only where wipe is said', async t => {
	const found = withFiles(machine(blank), {[sdb]: 'x'});
	await t.throwsAsync(planOne('data-disks', only('left'), found), {
		message: /found {3}bytes without a signature, such as an encrypted disk[\s\S]*blkdiscard --zeroout/,
	});
	t.true(commandsOf(await planOne('data-disks', wipe, found)).includes(`wipefs --all ${sdb}`));
});

test('wipe is spent once a disk is ours', async t => {
	const gone = withFiles(machine([system, photos('LEFT')]), claimed(['left']));
	await t.throwsAsync(planOne('data-disks', wipe, gone), {
		message:
			/had the partition bringup-left, and it is gone\n {2}found {3}gpt partition table, sdb1: ntfs "Photos"[\s\S]*rm \/var\/lib\/bringup\/claims\/left\.json/,
	});
	const erased = withFiles(machine([system, disk('sdb', 'LEFT')]), claimed(['left']));
	await t.throwsAsync(planOne('data-disks', wipe, erased), {message: /and it is gone/});
});

test('a power cut between the first step and the last leaves wipe in force', async t => {
	const begun = withFiles(machine([system, photos('LEFT')]), claimed(['left'], {state: 'begun', given: true}));
	t.true(commandsOf(await planOne('data-disks', wipe, begun)).includes(`wipefs --all ${sdb}`));
	const made = withFiles(machine([system, ours('sdb', 'left')]), claimed(['left'], {state: 'begun', given: true}));
	const [record, ...rest] = await planOne('data-disks', wipe, made);
	t.deepEqual(rest, []);
	t.like(record?.do === 'write' ? JSON.parse(record.content) : {}, {state: 'done', given: true});
});

test('a name that has its disk takes another one only when that is blank and the profile names it', async t => {
	const before = claimed(['left'], {serial: 'DEAD'});
	await t.throwsAsync(planOne('data-disks', wipe, withFiles(machine([system, photos('LEFT')]), before)), {
		message:
			/storage\.disks\.left is the disk DEAD on this machine, and the profile's selector finds sdb[\s\S]*found {3}gpt/,
	});
	const next = withFiles(machine([system, disk('sdb', 'LEFT')]), before);
	t.true(commandsOf(await planOne('data-disks', wipe, next)).some(command => command.startsWith('sfdisk')));
	const anyOf = {disks: {left: {model: 'EXAMPLE*'}}};
	const sizes = withFiles(machine([disk('sdb', 'LEFT')]), before);
	await t.throwsAsync(planOne('data-disks', anyOf, sizes), {message: /is the disk DEAD on this machine/});
	const twin = withFiles(machine([ours('sdb', 'left')]), before);
	await t.throwsAsync(planOne('data-disks', anyOf, twin), {message: /has a partition bringup-left too/});
});

test('a record that is damaged is not taken for none', async t => {
	const files = {'/var/lib/bringup/claims/left.json': '{"serial"'};
	await t.throwsAsync(planOne('data-disks', wipe, withFiles(machine([system, photos('LEFT')]), files)), {
		message: /claims\/left\.json, which says what disk left is, is damaged; nothing was changed/,
	});
});

test('disks that are ours since before there was a record are put on it', async t => {
	const [record, ...rest] = await planOne('data-disks', wipe, machine([system, ours('sdb', 'left')]));
	t.deepEqual(rest, []);
	t.deepEqual(record?.do === 'write' ? JSON.parse(record.content) : {}, {
		serial: 'LEFT',
		wwids: [],
		given: false,
		state: 'done',
	});
});
