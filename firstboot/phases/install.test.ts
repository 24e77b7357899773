import test from 'ava';
import {type installSchema, listBlockDevices} from '../disks.ts';
import {mountsOf} from '../folders.test.machine.ts';
import {readLayout} from '../layout.ts';
import type {Phase, Step} from '../phase.ts';
import {probeRecord} from '../record.ts';
import {bootloader} from './bootloader.ts';
import {disk} from './disk.ts';
import {format} from './format.ts';
import {commandsOf, config, device, layout, machine, made, marked, signatures, table} from './install.test.machine.ts';
import {partition} from './partition.ts';
import {seal} from './seal.ts';
import {unpack} from './unpack.ts';

const mark = `dd of=${device} bs=512 seek=4095 conv=notrunc,fsync status=none`;

test('a blank disk is partitioned, and no old signature is erased', async t => {
	const steps = await partition.plan(config, machine({}));
	const [begin, layOut] = steps;
	t.deepEqual(commandsOf(steps), [mark, `sfdisk --wipe-partitions never ${device}`, 'udevadm settle']);
	t.is(begin?.do === 'run' && begin.stdin, `bringup-installing ${layout.rootPartUuid}\n`.padEnd(512, '\0'));
	t.regex(layOut?.why ?? '', /EXAMPLE SSD 512GB, serial S0EXAMPLE000001; the disk is empty/);
	t.regex(
		layOut?.do === 'run' ? (layOut.stdin ?? '') : '',
		new RegExp(`label-id: ${layout.tableId}\nstart=1MiB, size=1MiB, [\\s\\S]*name=bringup-root`),
	);
});

test('a partitioned disk needs nothing', async t => {
	t.deepEqual(await partition.plan(config, machine(table())), []);
});

test('a disk with any signature is refused, and every disk is shown', async t => {
	const foreign = machine({[signatures(device)]: {signatures: [{type: 'xfs', uuid: 'x'}]}});
	await t.throwsAsync(partition.plan(config, foreign), {
		message: /is not empty, and install\.wipe is empty[\s\S]*S0EXAMPLE000001[\s\S]*nothing was changed/,
	});
	await t.throwsAsync(partition.plan({...config, wipe: 'same-machine'}, foreign), {message: /is not empty/});
});

test('wipe: any erases first, in a step of its own that names the disk', async t => {
	const steps = await partition.plan(
		{...config, wipe: 'any'},
		machine({[signatures(device)]: {signatures: [{type: 'xfs', uuid: 'x'}]}}),
	);
	t.deepEqual(commandsOf(steps), [
		mark,
		'udevadm settle',
		`wipefs --all ${device}`,
		mark,
		`sfdisk --wipe-partitions always ${device}`,
		'udevadm settle',
	]);
	t.regex(steps[2]?.why ?? '', /serial S0EXAMPLE000001; wipe: any/);
});

const finished = table({uuid: '11111111-1111-1111-1111-111111111111', sealed: true});

test('a finished install of this machine is erased with wipe: same-machine only', async t => {
	await t.throwsAsync(partition.plan(config, machine(finished)), {message: /is not empty/});
	t.is((await partition.plan({...config, wipe: 'same-machine'}, machine(finished))).length, 6);
});

test('the finished install of another machine is not the same machine', async t => {
	const other = machine(table({id: '22222222-2222-2222-2222-222222222222', sealed: true}));
	await t.throwsAsync(partition.plan({...config, wipe: 'same-machine'}, other), {message: /is not empty/});
});

test('a board with a placeholder for its identity is never the same machine', async t => {
	const placeholder = {'/sys/class/dmi/id/product_uuid': '03000200-0400-0500-0006-000700080009\n'};
	const {tableId} = await readLayout(machine({}, placeholder), {serial: '', wwids: []} as never);
	const probe = machine(table({id: tableId, sealed: true}), placeholder);
	await t.throwsAsync(partition.plan({...config, wipe: 'same-machine'}, probe), {message: /is not empty/});
});

test('an install that never booted is begun anew by another build', async t => {
	const other = machine({...table({uuid: '33333333-3333-3333-3333-333333333333'}), ...made});
	const steps = await partition.plan(config, other);
	t.regex(steps[2]?.why ?? '', /an install that never booted/);
});

test('a finished install that was to be erased when the power was cut is erased by the same build alone', async t => {
	const begun = machine({...finished, ...made, ...marked(layout.rootPartUuid)});
	const steps = await partition.plan(config, begun);
	t.deepEqual(commandsOf(steps), [
		`wipefs --all ${device}`,
		mark,
		`sfdisk --wipe-partitions always ${device}`,
		'udevadm settle',
	]);
	t.regex(steps[0]?.why ?? '', /this install has begun on it/);
	const another = machine({...finished, ...made, ...marked('33333333-3333-3333-3333-333333333333')});
	await t.throwsAsync(partition.plan(config, another), {message: /is not empty/});
});

test('a disk that was erased when the power was cut is begun again; what it held may go with the same build only', async t => {
	const erase = (uuid: string) => partition.plan(config, machine(marked(uuid), {[device]: 'mark'}));
	t.deepEqual(commandsOf(await erase(layout.rootPartUuid)), [
		mark,
		`sfdisk --wipe-partitions always ${device}`,
		'udevadm settle',
	]);
	const another = await erase('33333333-3333-3333-3333-333333333333');
	t.deepEqual(commandsOf(another).slice(1), [`sfdisk --wipe-partitions never ${device}`, 'udevadm settle']);
});

test('the mark says nothing of a disk that somebody has partitioned since', async t => {
	const other = table({id: '44444444-4444-4444-4444-444444444444'});
	await t.throwsAsync(partition.plan(config, machine(other)), {message: /is not empty/});
});

test('what an install that never booted found on the disk is not erased by the next one', async t => {
	const foreign = {
		...made,
		[signatures(`${device}-part3`)]: {signatures: [{type: 'ext4', uuid: 'x', label: 'precious'}]},
	};
	const probe = machine({...table({uuid: '33333333-3333-3333-3333-333333333333'}), ...foreign});
	await t.throwsAsync(partition.plan(config, probe), {message: /is not empty/});
});

test('a disk that this very medium has installed is not installed again, whatever the policy', async t => {
	const done = machine(table({sealed: true}));
	for (const wipe of ['empty', 'same-machine', 'any'] as const) {
		await t.throwsAsync(partition.plan({...config, wipe}, done), {message: /was installed by this very medium/});
	}
});

test('with wipe: any what was hidden in an empty disk may go too', async t => {
	const steps = await partition.plan({...config, wipe: 'any'}, machine({}));
	t.is(commandsOf(steps)[1], `sfdisk --wipe-partitions always ${device}`);
});

test('another disk than the one that was picked stops the install', async t => {
	const probe = machine({}, {'/run/bringup/disk.txt': '/dev/disk/by-diskseq/7\n'});
	for (const phase of [partition, format, unpack, bootloader]) {
		await t.throwsAsync(phase.plan(config, probe), {message: /the disks have changed since one was picked/});
	}
});

test('a disk that lost its table between two phases is not formatted', async t => {
	const picked = {'/run/bringup/disk.txt': `${device}\n`};
	const other = machine({...table({id: '44444444-4444-4444-4444-444444444444'})}, picked);
	await t.throwsAsync(format.plan(config, other), {message: /does not carry the partition table of this install/});
});

test('in a plan for a machine as found a disk that may be erased is formatted too', async t => {
	const used = machine({[signatures(device)]: {signatures: [{type: 'xfs', uuid: 'x'}]}});
	t.is((await format.plan({...config, wipe: 'any'}, used)).length, 4);
	await t.throwsAsync(format.plan(config, used), {message: /is not empty/});
});

test('a torn ESP is made again until the root is there', async t => {
	const noRoot = {...made, [signatures(`${device}-part3`)]: {signatures: []}};
	const commands = commandsOf(await format.plan(config, machine({...table(), ...noRoot})));
	t.deepEqual(
		commands.map(command => command.split(' ')[0]),
		['mkfs.vfat', 'mkfs.ext4', 'mount', 'mount'],
	);
});

test('a wipefs that cannot answer is not an empty disk', async t => {
	await t.throwsAsync(partition.plan(config, machine({[signatures(device)]: undefined})), {message: /no answer/});
});

test('cut after partitioning: the ESP is made, then the root, and they are mounted root first', async t => {
	const none = {[signatures(`${device}-part2`)]: {signatures: []}, [signatures(`${device}-part3`)]: {signatures: []}};
	const commands = commandsOf(await format.plan(config, machine({...table(), ...none})));
	t.deepEqual(
		commands.map(command => command.split(' ')[0]),
		['mkfs.vfat', 'mkfs.ext4', 'mount', 'mount'],
	);
	t.false(commands.some(command => / -(ff?|F)( |$)/.test(command.replace('-F 32', ''))));
});

test('cut after formatting: they are only mounted again', async t => {
	const commands = commandsOf(await format.plan(config, machine({...table(), ...made})));
	t.deepEqual(commands, [
		`mount -o X-mount.mkdir -t ext4 ${device}-part3 /target`,
		`mount -o X-mount.mkdir -t vfat ${device}-part2 /target/boot/efi`,
	]);
});

test('formatted and mounted, nothing is left', async t => {
	const probe = machine({...table(), ...made}, mountsOf('/', '/target', '/target/boot/efi'));
	t.deepEqual(await format.plan(config, probe), []);
});

test('a partition that holds something else is refused', async t => {
	const foreign = {...made, [signatures(`${device}-part3`)]: {signatures: [{type: 'LVM2_member', uuid: 'x'}]}};
	await t.throwsAsync(format.plan(config, machine({...table(), ...foreign})), {
		message: /holds LVM2_member that is not ours/,
	});
});

test('layers are unpacked lowest first, and recorded only when they are durable', async t => {
	const steps = await unpack.plan(config, machine({}));
	t.deepEqual(commandsOf(steps), [
		'unsquashfs -force -no-progress -dest /target /run/live/medium/live-0123456789abcdef/10-base.squashfs',
		'unsquashfs -force -no-progress -dest /target /run/live/medium/live-0123456789abcdef/20-profile.squashfs',
		'write',
		'sync --file-system /target',
		'write',
	]);
	const last = steps.at(-1);
	t.is(last?.do === 'write' ? last.content : '', layout.buildId);
});

test('unpacked layers of this build need nothing, those of another are unpacked again', async t => {
	const marker = '/target/var/lib/bringup/unpacked';
	t.deepEqual(await unpack.plan(config, machine({}, {[marker]: layout.buildId})), []);
	t.true((await unpack.plan(config, machine({}, {[marker]: 'another'}))).length > 0);
});

test('a medium without layers is damaged', async t => {
	await t.throwsAsync(unpack.plan(config, machine({'find /run/live/medium -maxdepth 2 -name *.squashfs': ''})), {
		message: /the medium is damaged/,
	});
});

test('the disk is picked once, and why is on record', async t => {
	const [step] = await disk.plan(config, machine({}));
	t.is(step?.do === 'write' ? step.path : '', '/run/bringup/disk.txt');
	const again = machine({}, {'/run/bringup/disk.txt': step?.do === 'write' ? step.content : ''});
	t.deepEqual(await disk.plan(config, again), []);
});

/** The installed machine, whose root partition is mounted at /, and its mark. */
function running(unfinished: string | undefined) {
	const parts = [null, '/boot/efi', '/'].map((mount, index) => {
		const name = `nvme0n1p${index + 1}`;
		return {name, path: `/dev/${name}`, type: 'part', mountpoints: [mount]};
	});
	const disk = {name: 'nvme0n1', path: '/dev/nvme0n1', type: 'disk', mountpoints: [null], children: parts};
	const lsblk = {[listBlockDevices.join(' ')]: {blockdevices: [disk]}};
	const sysfs = parts.map(({name}, index) => [`/sys/class/block/${name}/partition`, `${index + 1}\n`]);
	return machine(
		{...lsblk, ...marked(unfinished, '/dev/nvme0n1p1', 2047)},
		{...Object.fromEntries(sysfs), '/sys/class/block/nvme0n1p1/size': '2048\n'},
	);
}

test('the first boot seals the install with one sector, later ones do nothing', async t => {
	const [step, ...rest] = await seal.plan(config, running(layout.rootPartUuid));
	t.is(step?.do === 'run' && step.stdin, '\0'.repeat(512));
	t.deepEqual(commandsOf([step as Step]), ['dd of=/dev/nvme0n1p1 bs=512 seek=2047 conv=notrunc,fsync status=none']);
	t.deepEqual(rest, []);
	t.deepEqual(await seal.plan(config, running(undefined)), []);
});

test('no phase of the install takes a tool that cannot answer for a machine with nothing on it', async t => {
	const phases: Phase<typeof installSchema>[] = [disk, partition, format, unpack, bootloader, seal];
	for (const phase of phases)
		await t.throwsAsync(phase.plan(config, probeRecord({commands: {}, files: {}})), {message: /no answer/});
});
