import test from 'ava';
import {foldersOf} from '../folders.test.machine.ts';
import {probeRecord} from '../record.ts';
import {
	change,
	config,
	done,
	lines,
	listDefined,
	machine,
	madeDisks,
	profile,
	whys,
} from './virtualization.test.machine.ts';
import {virtualization} from './virtualization.ts';

const files = [...Object.keys(listDefined(config)), ...madeDisks(config)];

test('a domain that left the profile is shut down and starts no more; it stays defined, and its disks stay', async t => {
	const fewer = change({domains: {old: profile.domains.old}});
	const left = await virtualization.plan(fewer, machine(done));
	t.deepEqual(lines(left).slice(0, 2), ['virsh autostart --disable k3s', 'virsh shutdown k3s']);
	t.is(whys(left)[2], 'wait until k3s is off (or end it: virsh destroy k3s)');
	t.false(
		lines(left).some(line => /undefine|destroy|^rm |qemu-img/.test(line)),
		lines(left).join(),
	);
	const off = files.filter(path => !/run.*k3s|autostart.k3s/.test(path));
	const rest = await virtualization.plan(fewer, machine(done, {}, foldersOf(off)));
	t.false(lines(rest).some(line => line.includes('k3s')));
	const foreign = {'/etc/libvirt/qemu/k3s.xml': '<uuid>0f8fad5b-d9cb-469f-a165-70867728950e</uuid>'};
	t.false(lines(await virtualization.plan(fewer, machine(done, {}, foreign))).some(line => line.includes('k3s')));
});

test('a network and a pool that left are forgotten; the one of libvirt itself and those of others are not', async t => {
	const none = change({domains: {}, networks: {}, pools: {}});
	const listed = {'virsh --quiet pool-list --name': ' images\n'};
	t.deepEqual(
		lines(await virtualization.plan(none, machine(done, listed))).filter(line => /net-|pool-/.test(line)),
		['virsh net-destroy lan', 'virsh net-undefine lan', 'virsh pool-destroy images', 'virsh pool-undefine images'],
	);
	const foreign = Object.fromEntries(
		['/etc/libvirt/storage/images.xml', '/etc/libvirt/qemu/networks/lan.xml'].map(path => [path, '<uuid>1</uuid>']),
	);
	t.false(lines(await virtualization.plan(none, machine(done, listed, foreign))).some(line => /net-|pool-/.test(line)));
});

test('a profile without the section shuts its domains down, and a machine that never had it is asked nothing', async t => {
	const gone = lines((await virtualization.absent?.(machine(done, {'virsh --quiet pool-list --name': ''}))) ?? []);
	t.deepEqual(
		gone.filter(line => line.includes('k3s')),
		['virsh autostart --disable k3s', 'virsh shutdown k3s'],
	);
	t.deepEqual(await virtualization.absent?.(probeRecord({commands: {}, files: {}})), []);
});
