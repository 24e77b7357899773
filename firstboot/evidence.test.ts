import test from 'ava';
import {listBlockDevices} from './disks.ts';
import {planEvidence} from './evidence.ts';
import {mountsOf} from './folders.test.machine.ts';
import {probeRecord} from './record.ts';

const loop = {path: '/dev/loop0', fstype: 'squashfs', mountpoints: ['/run/live/rootfs/10-base.squashfs']};
const disk = {
	path: '/dev/nvme0n1',
	fstype: null,
	mountpoints: [null],
	children: [{path: '/dev/nvme0n1p2', fstype: 'vfat', mountpoints: [null]}],
};
const stick = {
	path: '/dev/sda',
	fstype: 'iso9660',
	mountpoints: [null],
	children: [
		{path: '/dev/sda1', fstype: 'iso9660', mountpoints: ['/run/live/medium']},
		{path: '/dev/sda2', fstype: 'vfat', mountpoints: [null]},
	],
};
const cd = {path: '/dev/sr0', fstype: 'iso9660', mountpoints: ['/run/live/medium']};

async function places(blockdevices: object[], ...mounts: string[]): Promise<string[]> {
	const commands = {[listBlockDevices.join(' ')]: {blockdevices}};
	const steps = await planEvidence({log: 'log', record: '{}'}, probeRecord({commands, files: mountsOf(...mounts)}));
	return steps.map(step => (step.do === 'write' ? step.path : step.do === 'run' ? step.command.join(' ') : step.do));
}

test("from a stick the log goes onto its EFI partition, and not onto another disk's", async t => {
	t.deepEqual(await places([loop, disk, stick], '/'), [
		'/run/bringup/install.log',
		'mcopy -o -i /dev/sda2 /run/bringup/install.log ::install.log',
		'sync',
	]);
});

test('from a CD it goes onto the ESP of the disk, where there is one', async t => {
	t.deepEqual(await places([loop, disk, cd], '/', '/target', '/target/boot/efi'), [
		'/run/bringup/install.log',
		'/target/boot/efi/bringup/install.log',
		'/target/var/lib/bringup/install.json',
		'sync',
	]);
	t.deepEqual(await places([cd], '/'), ['/run/bringup/install.log', 'sync']);
});
