import test from 'ava';
import {findFullFolders, findShortages, roundMemory} from './sizing.ts';
import {virtualizationSchema} from './virtualization.ts';

const gib = 2 ** 30;
const disk = (size: string) => [{pool: 'images', size}];
const homelab = virtualizationSchema.parse({
	reserve: {memory: '8G'},
	domains: {
		'control-1': {cpus: 4, memory: '8G', disks: disk('64G')},
		'worker-1': {cpus: 4, memory: '16G', disks: disk('128G')},
		'worker-2': {cpus: 4, memory: '16G', disks: disk('128G')},
	},
});

test('a machine of 48 GB holds the homelab, one of 44 GB does not', t => {
	t.deepEqual(findShortages(homelab, {memory: 48 * gib, cpus: 8}), []);
	const [message, ...more] = findShortages(homelab, {memory: 44 * gib, cpus: 8});
	t.deepEqual(more, []);
	t.regex(
		message ?? '',
		/take 40G of memory \(control-1 8G, worker-1 16G, worker-2 16G\).*keeps 8G: 48G, and it has 44G/,
	);
});

test('what firmware and kernel keep back does not count against the domains', t => {
	const sold: [usable: number, installed: number][] = [
		[46.6, 48],
		[62.6, 64],
		[31.0, 32],
		[15.4, 16],
		[7.7, 8],
		[1.93, 2],
		[94.1, 96],
	];
	for (const [usable, installed] of sold) t.is(roundMemory(usable * gib), installed * gib, `${usable}`);
	t.is(findShortages(homelab, {memory: roundMemory(46.6 * gib)}).length, 0);
	t.is(findShortages(homelab, {memory: roundMemory(43.1 * gib)}).length, 1);
});

test('processors are shared out up to the factor, and no domain gets more than there are', t => {
	t.deepEqual(findShortages(homelab, {cpus: 4}), []);
	t.regex(
		findShortages(homelab, {cpus: 3}).join('\n'),
		/take 12 virtual.*are 8;[\s\S]*control-1 takes 4 virtual processors and the machine has 3/,
	);
});

test('a machine that is not known is not judged', t => {
	t.deepEqual(findShortages(homelab, {}), []);
});

test('the disks of one file system are counted together, in the deepest mount that holds them', t => {
	const mounts = [
		{target: '/', size: 100 * gib},
		{target: '/srv', size: 50 * gib},
		{target: '/srv-old', size: gib},
	];
	const folder = (path: string, size: number, thin = false) => ({path, bytes: size * gib, thin});
	t.deepEqual(findFullFolders([folder('/srv/a', 20), folder('/srv/b', 20), folder('/var/x', 80)], mounts, '10G'), []);
	const full = findFullFolders([folder('/srv/a', 20), folder('/srv/b', 21)], mounts, '10G');
	t.regex(
		full.join('\n'),
		/in \/srv\/a, \/srv\/b take 41G and the machine keeps 10G; the file system at \/srv has 50G/,
	);
	t.deepEqual(findFullFolders([folder('/srv/a', 500, true)], mounts, '10G'), []);
});
