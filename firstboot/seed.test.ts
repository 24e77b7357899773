import test from 'ava';
import {authorityFiles} from './k3s.ts';
import {secretPath} from './phase.ts';
import {listSeedSecrets, renderSeed} from './seed.ts';
import {type PlacedDomain, placeDomains, virtualizationSchema} from './virtualization.ts';

const key = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEgcppmhmnOuvEPs/uZFLWyxgq4z5jb03cyQg9Iyc7jY me';
const user = {name: 'admin', sshKeys: [key]};
const link = {
	network: 'lan',
	mac: '52:54:00:00:00:0B',
	addresses: ['192.0.2.11/24'],
	gateway: '192.0.2.1',
	dns: ['192.0.2.53'],
};

function place(changes: object = {}): PlacedDomain {
	const domain = {
		cpus: 1,
		memory: '1G',
		disks: [{pool: 'images', size: '1G'}],
		networks: [link],
		seed: {users: [user]},
	};
	const [placed] = placeDomains(virtualizationSchema.parse({domains: {one: {...domain, ...changes}}}), '0'.repeat(32));
	if (!placed) throw new Error('the test has no domain');
	return placed;
}

function read(domain: PlacedDomain, secrets = new Map<string, string>()) {
	const seed = renderSeed(domain, secrets);
	if (!seed) throw new Error('the domain has no seed');
	const parse = (name: keyof typeof seed.files) => JSON.parse(seed.files[name].replace(/^#cloud-config\n/, ''));
	return {...seed, user: parse('user-data'), meta: parse('meta-data'), network: parse('network-config')};
}

test('a seed names the domain, lets its users in by key, and begins as cloud-init wants it', t => {
	const {files, user, meta} = read(place());
	t.true(files['user-data'].startsWith('#cloud-config\n'));
	t.is(meta['local-hostname'], 'one');
	t.like(user.users[0], {name: 'admin', ssh_authorized_keys: [key], lock_passwd: true, sudo: 'ALL=(ALL) NOPASSWD:ALL'});
	t.false(user.ssh_pwauth);
	t.is(
		read(place({seed: {hostname: 'other', users: [{name: 'admin', sshKeys: [key]}]}})).meta['local-hostname'],
		'other',
	);
});

test('its network is found by MAC address, static or by DHCP', t => {
	t.deepEqual(read(place()).network.ethernets.net0, {
		match: {macaddress: '52:54:00:00:00:0b'},
		'set-name': 'net0',
		nameservers: {addresses: ['192.0.2.53']},
		dhcp4: false,
		addresses: ['192.0.2.11/24'],
		routes: [{to: '0.0.0.0/0', via: '192.0.2.1'}],
	});
	t.true(read(place({networks: [{network: 'lan'}]})).network.ethernets.net0.dhcp4);
});

test('another content is another instance; the same content is the same', t => {
	const {instanceId} = read(place());
	t.regex(instanceId, /^one-[0-9a-f]{12}$/);
	t.is(read(place()).instanceId, instanceId);
	for (const changes of [{networks: [{...link, dns: []}]}, {seed: {hostname: 'two', users: [user]}}])
		t.not(read(place(changes)).instanceId, instanceId);
	t.is(read(place({cpus: 2})).instanceId, instanceId);
});

test('a password goes in as a hash', t => {
	const password = {secret: {env: 'HASH'}};
	const {user: found} = read(
		place({seed: {users: [{...user, password}]}}),
		new Map([[secretPath(password), '$y$hash']]),
	);
	t.like(found.users[0], {lock_passwd: false, passwd: '$y$hash'});
});

test("files go in as they are, secrets by their values, and what is the clone's own of the profile as a merge patch", t => {
	const token = {secret: {file: 'agent-token'}};
	const files = {'/etc/motd': 'hello\n', '/etc/bringup/secrets/kubernetes/agent-token': token};
	const machine = {kubernetes: {config: {'node-label': ['a=b']}}};
	const domain = place({seed: {users: [user], files, machine}});
	const found = read(domain, new Map([[secretPath(token), 'K10abc::node:x']])).user.write_files as {
		path: string;
		content: string;
		permissions: string;
	}[];
	t.deepEqual(
		found.map(({path, content}) => [path, content]),
		[
			['/etc/motd', 'hello\n'],
			['/etc/bringup/secrets/kubernetes/agent-token', 'K10abc::node:x\n'],
			['/etc/bringup/clone.json', `${JSON.stringify(machine, undefined, 2)}\n`],
		],
	);
	t.true(found.every(({permissions}) => permissions === '0600'));
	t.deepEqual(domain.seed && listSeedSecrets('one', domain.seed).map(({path}) => path), [secretPath(token)]);
	t.throws(() => renderSeed(domain, new Map()), {message: /agent-token in a seed is missing/});
});

test('a clone that joins a cluster gets what its role takes, under its own name, from where the machine has it', t => {
	const join = (kubernetes: object, hostname?: string) => {
		const domain = place({seed: {hostname, users: [user], machine: {kubernetes: {cluster: 'home', ...kubernetes}}}});
		const needed = domain.seed ? listSeedSecrets('one', domain.seed).map(({path}) => path) : [];
		const written = read(domain, new Map(needed.map(path => [path, `from ${path}`]))).user.write_files as {
			path: string;
			content: string;
		}[];
		const brought = written.filter(({path}) => path !== '/etc/bringup/clone.json');
		t.deepEqual(
			brought.map(({content}) => content),
			brought.map(({path}) => `from /etc/bringup/secrets/domains/one${path}\n`),
		);
		t.throws(() => renderSeed(domain, new Map()), {message: /in a seed is missing/});
		return brought.map(({path}) => path);
	};
	const [token, agentToken] = ['token', 'agent-token'].map(name => `/etc/bringup/secrets/kubernetes/${name}`);
	const server = 'https://192.0.2.11:6443';
	t.deepEqual(join({role: 'agent', server}), [agentToken, '/etc/rancher/node/password']);
	t.deepEqual(join({role: 'server', server}), [agentToken, token, '/etc/rancher/node/password']);
	const first = join({role: 'server', config: {disable: ['traefik']}});
	t.true(first.includes('/etc/bringup/secrets/kubernetes/tls/server-ca.key'));
	t.is(first.length, 3 + authorityFiles.length);
});

test('keys that the build did not put in are told', t => {
	const domain = place({seed: {users: [{name: 'admin', sshKeys: 'auto'}]}});
	t.throws(() => renderSeed(domain, new Map()), {message: /keys of admin in a seed.*build the medium again/});
});

test('a domain without a seed has none', t => {
	t.is(renderSeed(place({seed: undefined}), new Map()), undefined);
});
