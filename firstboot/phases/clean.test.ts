import test from 'ava';
import {listBlockDevices} from '../disks.ts';
import {imageSchema, mergePatch} from '../golden.ts';
import type {Probe} from '../phase.ts';
import {rememberAnswers} from '../phase.ts';
import {clean, cleanTarget} from './clean.ts';
import {commandsOf, device, machine, marked} from './install.test.machine.ts';

const config = imageSchema.parse({});

/** The command that lists the traces, which is the only question that is no other phase's. */
async function findQuestion(root: '' | '/target'): Promise<string> {
	const asked: string[] = [];
	const probe: Probe = {
		...rememberAnswers(machine({})).probe,
		output: async command => {
			asked.push(command.join(' '));
			return '';
		},
		read: async () => '',
	};
	await (root === '' ? clean : cleanTarget).plan(config, probe).catch(() => {});
	return asked.find(command => command.startsWith('find ')) ?? '';
}

const sysfs = {'/sys/class/block/vda1/partition': '1\n', '/sys/class/block/vda1/size': '2048\n'};

function mounted(mountpoint: string): Record<string, unknown> {
	const bios = {type: 'part', mountpoints: [null], name: 'vda1', path: '/dev/vda1'};
	const root = {type: 'part', mountpoints: [mountpoint], name: 'vda3', path: '/dev/vda3'};
	const children = [bios, root];
	return {[listBlockDevices.join(' ')]: {blockdevices: [{name: 'vda', type: 'disk', path: device, children}]}};
}

test('an installed system is sealed before it ever boots', async t => {
	const question = await findQuestion('/target');
	t.regex(question, /^find \/target\/etc \/target\/var .* -path \/target\/etc\/ssh\/ssh_host_\*_key\* /);
	const found = '/target/var/log/dpkg.log\n/target/var/lib/systemd/random-seed\n';
	const probe = machine(
		{...marked('11111111-1111-1111-1111-111111111111', '/dev/vda1', 2047), ...mounted('/target'), [question]: found},
		{...sysfs, '/target/etc/machine-id': '0123456789abcdef0123456789abcdef\n'},
	);
	t.deepEqual(commandsOf(await cleanTarget.plan(config, probe)), [
		'rm --recursive --force /target/var/lib/systemd/random-seed',
		'rm --recursive --force /target/var/log/dpkg.log',
		'write',
		'dd of=/dev/vda1 bs=512 seek=2047 conv=notrunc,fsync status=none',
		'fstrim /target',
	]);
});

test('a sealed system needs nothing, and a running one is sealed likewise', async t => {
	const question = await findQuestion('');
	const sealed = {...marked(undefined, '/dev/vda1', 2047), ...mounted('/')};
	const files = {...sysfs, '/etc/machine-id': ''};
	t.deepEqual(await clean.plan(config, machine({...sealed, [question]: ''}, files)), []);
	t.deepEqual(commandsOf(await clean.plan(config, machine({...sealed, [question]: '/etc/hostid\n'}, files))), [
		'rm --recursive --force /etc/hostid',
		'fstrim /',
	]);
});

test('a merge patch changes fields, takes away what is null, and replaces what is no object (RFC 7396)', t => {
	const target = {a: {b: 1, c: [1, 2]}, d: 'x'};
	t.deepEqual(mergePatch(target, {a: {c: [3], e: 4}, d: null}), {a: {b: 1, c: [3], e: 4}});
	t.deepEqual(mergePatch({a: 'x'}, {a: {b: null, c: 1}}), {a: {c: 1}});
	t.deepEqual(mergePatch([1], {a: 1}), {a: 1});
	t.deepEqual(mergePatch(target, JSON.parse('{"__proto__": {"x": 1}}')), {...target, ['__proto__']: {x: 1}});
	t.is(({} as Record<string, unknown>)['x'], undefined);
});
