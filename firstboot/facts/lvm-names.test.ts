import {readdirSync} from 'node:fs';
import test from 'ava';
import {findGroupNameFault, findVolumeNameFault} from './lvm-names.ts';

test('names of volumes that LVM keeps to itself are told, others are not', t => {
	const wrong = [
		'snapshot',
		'snapshots',
		'snapshot-1-0',
		'pvmove0',
		'a_tmeta',
		'x_rimage_0',
		'a_cvol',
		'b_mlog',
		'c_vorigin',
	];
	for (const name of wrong) t.regex(findVolumeNameFault(name) ?? '', /^LVM keeps names/, name);
	for (const name of ['scratch', 'mysnapshot', 'vm-pvmove', 'tmeta', 'data', 'web-0'])
		t.is(findVolumeNameFault(name), undefined, name);
});

test('a group may have no name that is in /dev', t => {
	for (const name of ['disk', 'md', 'mapper', 'net', 'input', 'sda', 'sda1', 'nvme0n1', 'loop0', 'dm_0', 'mmcblk0p1'])
		t.regex(findGroupNameFault(name) ?? '', /there is a \/dev\/\w+ already/, name);
	for (const name of ['vg0', 'fast', 'data', 'disks', 'sdx_', 'system'])
		t.is(findGroupNameFault(name), undefined, name);
	// What this very system has there, but for groups of its own.
	const here = readdirSync('/dev', {withFileTypes: true}).filter(one => !one.isDirectory());
	const names = here.map(({name}) => name).filter(name => /^[a-z][a-z0-9_]{0,11}$/.test(name));
	const usual = names.filter(name =>
		/^(null|zero|full|random|urandom|tty|ptmx|console|std(in|out|err)|fd|core|kmsg)$/.test(name),
	);
	for (const name of usual) t.truthy(findGroupNameFault(name), name);
});
