import test from 'ava';
import {findStoreFault, isDatabaseDamaged} from './containerd.ts';
import {foldersOf} from './folders.test.machine.ts';
import {kubernetesSchema} from './k3s.ts';
import {planStart} from './k3s-start.ts';
import type {Probe, Step} from './phase.ts';
import {probeRecord} from './record.ts';

const config = kubernetesSchema.parse({
	role: 'server',
	cluster: 'home',
	version: 'v1.33.4+k3s1',
	binary: {asset: {url: 'https://mirror.example/k3s', sha256: 'b'.repeat(64)}},
});

const store = '/var/lib/rancher/k3s/agent/containerd';
const database = `${store}/io.containerd.metadata.v1.bolt/meta.db`;
const address = (local: string, more: object = {}) => ({family: 'inet', local, scope: 'global', ...more});
const bridge = (...addresses: object[]) => ({ifname: 'br0', addr_info: addresses});
const routes = 'ip -4 -json route show default';
const routes6 = 'ip -6 -json route show default';
const gateway = {dst: 'default', gateway: '192.0.2.1', dev: 'br0'};

function machine(commands: Record<string, unknown> = {}, files: Record<string, string> = {}): Probe {
	return probeRecord({
		commands: {
			'/usr/local/bin/k3s --version': 'k3s version v1.33.4+k3s1 (148243c4)\ngo version go1.24.5\n',
			'ip -json address show': [bridge(address('192.0.2.10'))],
			[routes]: [gateway],
			[routes6]: [],
			...commands,
		},
		files: {'/etc/bringup/secrets/kubernetes/token': 'K10', '/etc/bringup/k3s.digest': 'abc\n', ...files},
	});
}

const whys = (steps: readonly Step[]) => steps.map(({why}) => why);
const pinned = (steps: readonly Step[]) =>
	steps.flatMap(step => (step.do === 'write' && step.path.includes('address') ? [step.content] : []))[0];

/** A bolt database of four pages, made by the layout of its source: a copy of what bbolt writes for a new file. */
function makeDatabase(): Buffer {
	const bytes = Buffer.alloc(16384);
	for (const page of [0, 1]) {
		const meta = bytes.subarray(page * 4096 + 16, page * 4096 + 80);
		meta.writeUInt32LE(0xed0cdaed, 0);
		meta.writeUInt32LE(2, 4);
		meta.writeUInt32LE(4096, 8);
		meta.writeUInt32LE(3, 16);
		meta.writeUInt32LE(2, 32);
		meta.writeUInt32LE(4, 40);
		meta.writeUInt32LE(page, 48);
		let hash = 14695981039346656037n;
		for (const byte of meta.subarray(0, 56)) hash = ((hash ^ BigInt(byte)) * 1099511628211n) % 2n ** 64n;
		meta.writeBigUInt64LE(hash, 56);
	}
	return bytes;
}

test('the node is pinned to the first lasting IPv4 address of its link', async t => {
	const links = [
		{ifname: 'lo', addr_info: [address('127.0.0.1', {scope: 'host'})]},
		bridge(
			{family: 'inet6', local: '2001:db8::10', scope: 'global'},
			address('192.0.2.99', {secondary: true}),
			address('192.0.2.10'),
		),
	];
	const steps = await planStart(config, machine({'ip -json address show': links}));
	t.is(pinned(steps), 'node-ip: "192.0.2.10"\nadvertise-address: "192.0.2.10"\n');
	t.deepEqual(whys(steps), ['pin the node to 192.0.2.10', 'note what K3s is started with']);
});

const both = [
	bridge(
		{family: 'inet6', local: 'fe80::1', scope: 'link'},
		{family: 'inet6', local: '2001:db8::77', scope: 'global', temporary: true},
		{family: 'inet6', local: '2001:db8::66', scope: 'global', deprecated: true},
		{family: 'inet6', local: '2001:db8::55', scope: 'global', tentative: true},
		address('192.0.2.10'),
		{family: 'inet6', local: '2001:db8::10', scope: 'global'},
	),
];

test('where pods have two families, so has the node, in their order; an agent too', async t => {
	const dual = (option: unknown, more: object = {}) =>
		planStart(
			kubernetesSchema.parse({...config, config: {'cluster-cidr': option}, ...more}),
			machine({'ip -json address show': both}, {'/etc/bringup/secrets/kubernetes/agent-token': 'K10'}),
		).then(pinned);
	const four = 'node-ip: "192.0.2.10,2001:db8::10"\n';
	t.is(await dual('10.42.0.0/16,2001:db8:42::/56'), `${four}advertise-address: "192.0.2.10"\n`);
	t.is(await dual(['10.42.0.0/16', '2001:db8:42::/56']), `${four}advertise-address: "192.0.2.10"\n`);
	t.is(await dual('10.42.0.0/16, 2001:db8:42::/56', {role: 'agent', server: 'https://192.0.2.11:6443'}), four);
	t.is(
		await dual('2001:db8:42::/56,10.42.0.0/16'),
		'node-ip: "2001:db8::10,192.0.2.10"\nadvertise-address: "2001:db8::10"\n',
	);
	t.is(await dual('2001:db8:42::/56'), 'node-ip: "2001:db8::10"\nadvertise-address: "2001:db8::10"\n');
	t.is(await dual('10.42.0.0/16'), 'node-ip: "192.0.2.10"\nadvertise-address: "192.0.2.10"\n');
});

test('a family that the link has no address of yet is waited for', async t => {
	const dual = kubernetesSchema.parse({...config, config: {'cluster-cidr': '10.42.0.0/16,fd00:42::/56'}});
	await t.throwsAsync(planStart(dual, machine()), {
		message: /br0 .* has no IPv6 address yet, and cluster-cidr has IPv6/,
	});
});

test('a node of IPv6 alone with a default route gets no route of IPv4, and one that it had goes', async t => {
	const links = [bridge({family: 'inet6', local: '2001:db8::10', scope: 'global'})];
	const six = {
		[routes]: [],
		[routes6]: [{dst: 'default', gateway: 'fe80::1', dev: 'br0'}],
		'ip -json address show': links,
	};
	const ip = (steps: readonly Step[]) =>
		steps.flatMap(step => (step.do === 'run' && step.command[0] === 'ip' ? [step.command.join(' ')] : []));
	t.deepEqual(ip(await planStart(config, machine(six))), []);
	const late = {
		...six,
		[routes]: [{dst: 'default', dev: 'k3s-route'}],
		'ip -json address show': [...links, {ifname: 'k3s-route', addr_info: []}],
	};
	t.deepEqual(ip(await planStart(config, machine(late))), ['ip link delete k3s-route']);
	const nowhere = {[routes]: [], [routes6]: [{type: 'unreachable', dst: 'default', dev: 'lo'}]};
	t.is(ip(await planStart(config, machine(nowhere))).length, 4);
});

test('an agent advertises nothing', async t => {
	const agent = {...config, role: 'agent'} as const;
	const steps = await planStart(agent, machine({}, {'/etc/bringup/secrets/kubernetes/agent-token': 'K10'}));
	t.is(pinned(steps), 'node-ip: "192.0.2.10"\n');
});

test('a start where nothing has changed changes nothing', async t => {
	const files = {
		'/etc/rancher/k3s/config.yaml.d/10-bringup-address.yaml':
			'node-ip: "192.0.2.10"\nadvertise-address: "192.0.2.10"\n',
		'/run/bringup/k3s.digest': 'abc\n',
	};
	t.deepEqual(await planStart(config, machine({}, files)), []);
});

test('a link without an address, a binary of another release, a medium without a token: K3s is not started', async t => {
	await t.throwsAsync(planStart(config, machine({'ip -json address show': [bridge()]})), {
		message: /br0 \(kubernetes\.link\) has no address yet/,
	});
	const other = {'/usr/local/bin/k3s --version': 'k3s version v1.33.40+k3s1 (0)\n'};
	await t.throwsAsync(planStart(config, machine(other)), {message: /v1\.33\.4\+k3s1.*says "k3s version v1\.33\.40/});
	const agent = {...config, role: 'agent'} as const;
	await t.throwsAsync(planStart(agent, machine()), {message: /agent-token; build the medium again/});
});

test('a dummy default route is added only where there is none, also after a failure half way', async t => {
	const none = {[routes]: []};
	const all = ['link add', 'address add', 'link set', 'route add'];
	const does = (steps: readonly Step[]) =>
		steps.flatMap(step => (step.do === 'run' && step.command[0] === 'ip' ? [step.command.slice(1, 3).join(' ')] : []));
	t.deepEqual(does(await planStart(config, machine(none))), all);
	const half = [bridge(address('192.0.2.10')), {ifname: 'k3s-route', addr_info: []}];
	t.deepEqual(does(await planStart(config, machine({...none, 'ip -json address show': half}))), all.slice(1));
	t.deepEqual(does(await planStart(config, machine())), []);
});

test('of a database only the two meta pages together are its end, and an empty file is none', t => {
	const whole = makeDatabase();
	t.false(isDatabaseDamaged(whole));
	t.false(isDatabaseDamaged(Buffer.alloc(0)));
	for (const page of [0, 1]) {
		const half = Buffer.from(whole);
		half.fill(0, page * 4096, page * 4096 + 80);
		t.false(isDatabaseDamaged(half), `meta page ${page}`);
	}
	t.true(isDatabaseDamaged(Buffer.alloc(16384)));
	t.true(isDatabaseDamaged(whole.subarray(0, 40)));
});

test('a damaged store is emptied before the start, with what says that its archives were imported', async t => {
	const files = foldersOf([database, '/var/lib/rancher/k3s/agent/images/.cache.json']);
	const steps = await planStart(config, machine({}, {...files, [database]: '\0'.repeat(16384)}));
	t.deepEqual(whys(steps).slice(1, 3), [
		'forget which archives were imported',
		`remove containerd's damaged store; K3s fills it again from the image archives (${database} is damaged)`,
	]);
	const healthy = machine({}, {...files, [database]: makeDatabase().toString('latin1')});
	t.false(whys(await planStart(config, healthy)).some(why => why.includes('store')));
});

test("only containerd's last start speaks of its store, and only of bolt and of sandboxes", t => {
	const start = 'time="t" level=info msg="starting containerd" revision=1';
	const bolt =
		'panic: freepages: failed to get all reachable pages\n\ngoroutine 1 [running]:\ngo.etcd.io/bbolt.(*DB).freepages';
	t.is(findStoreFault(`${start}\n${bolt}`), 'panic: freepages: failed to get all reachable pages');
	t.is(
		findStoreFault(`${start}\n${bolt}\n${start}\nlevel=info msg="containerd successfully booted in 0.1s"`),
		undefined,
	);
	t.is(
		findStoreFault(`${start}\npanic: nil map\n\ngoroutine 1 [running]:\ngithub.com/containerd/ttrpc.serve`),
		undefined,
	);
	t.is(findStoreFault(bolt), undefined);
	const old = 'level=warning msg="failed to load plugin io.containerd.metadata.v1.bolt" error="invalid database"';
	const now = 'level=warning msg="failed to load plugin" error="checksum error" id=io.containerd.metadata.v1.bolt';
	const locked = 'level=warning msg="failed to load plugin" error="timeout" id=io.containerd.metadata.v1.bolt';
	t.is(findStoreFault(`${start}\n${old}`), old);
	t.is(findStoreFault(`${start}\n${now}`), now);
	t.is(findStoreFault(`${start}\n${locked}`), undefined);
	t.truthy(
		findStoreFault(
			`${start}\nlevel=fatal error="failed to recover state: failed to get metadata for stored sandbox \\"1\\""`,
		),
	);
});
