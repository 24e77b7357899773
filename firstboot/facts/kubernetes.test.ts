import test from 'ava';
import {parse} from 'yaml';
import {networkSchema} from '../links.ts';
import {firewallSchema} from '../phases/firewall.ts';
import {kubernetesSchema} from '../sequence.ts';
import {checkKubernetes, type Surroundings} from './kubernetes.ts';

const binary = {asset: {url: 'https://mirror.example/k3s', sha256: 'b'.repeat(64)}};
const check = (fields: object, surroundings: Surroundings = {}) =>
	checkKubernetes(kubernetesSchema.parse({role: 'server', cluster: 'home', binary, ...fields}), surroundings).map(
		({path, message}) => `${path.join('.')}: ${message}`,
	);
const join = 'https://192.0.2.11:6443';

test('one server, the first and a further one of three, and an agent are right', t => {
	for (const fields of [{}, {servers: 3}, {servers: 3, server: join}, {role: 'agent', server: join}])
		t.deepEqual(check(fields), [], JSON.stringify(fields));
});

test('an even number of servers stands the loss of no more', t => {
	t.deepEqual(check({servers: 4}), [
		'kubernetes.servers: 4 servers stand the loss of no more than 3 do; give an odd number',
	]);
	t.regex(check({server: join})[0] ?? '', /^kubernetes\.servers: .*such as 3$/);
});

test('an agent needs a server, and applies no manifests', t => {
	const faults = check({role: 'agent', manifests: {'a.yaml': 'a: 1\n'}});
	t.regex(faults[0] ?? '', /^kubernetes: .*server: https:\/\/192\.0\.2\.11:6443/);
	t.regex(faults[1] ?? '', /^kubernetes\.manifests: only a server/);
});

test('an option that bringup sets is refused, another is not', t => {
	t.deepEqual(check({config: {disable: ['traefik'], 'node-ip': '192.0.2.1'}}), [
		'kubernetes.config.node-ip: bringup sets node-ip itself, from the fields beside config; remove it',
	]);
});

const pods = {pods: {links: ['cni0', 'flannel.1']}};
const zones = {lan: {links: ['br0']}, ...pods};
const api = {from: 'pods', to: 'machine'};
const behind = (allow: object, fields: object = {}, own: object = zones) =>
	check(fields, {firewall: firewallSchema.parse({zones: own, allow: {api, ...allow}})});

test('a firewall without a zone for the pods would drop what they send', t => {
	t.regex(behind({}, {}, {lan: {links: ['br0']}})[0] ?? '', /^kubernetes: .*add cni0 and flannel\.1 to a zone/);
	t.regex(behind({}, {}, {pods: {links: ['cni0']}})[0] ?? '', /add flannel\.1 to a zone/);
	t.deepEqual(behind({}, {}, {pods: {links: ['cni*', 'flannel*']}}), []);
	t.deepEqual(behind({api: {from: 'pods', to: 'pods'}}, {}, {pods: {links: ['cni0', 'flannel.1']}}), [
		"firewall.allow: pods could not ask the cluster's API; add pods-to-api: {from: pods, to: machine, protocol: tcp, ports: [6443]}",
	]);
	t.deepEqual(behind({api: {from: 'pods', to: 'pods'}}, {config: {'flannel-backend': 'none'}}), []);
});

const several: [fields: object, shut: string][] = [
	[{}, ''],
	[{servers: 3}, '8472/udp, 10250/tcp, 6443/tcp, 2379/tcp, 2380/tcp'],
	[{servers: 3, server: join}, '8472/udp, 10250/tcp, 6443/tcp, 2379/tcp, 2380/tcp'],
	[{servers: 3, config: {'flannel-backend': 'wireguard-native'}}, '51820/udp, 10250/tcp, 6443/tcp, 2379/tcp, 2380/tcp'],
	[{servers: 3, config: {'flannel-backend': 'host-gw'}}, '10250/tcp, 6443/tcp, 2379/tcp, 2380/tcp'],
	[{role: 'agent', server: join}, '8472/udp, 10250/tcp'],
];
for (const [fields, shut] of several)
	test(`a firewall that drops what nodes say to each other is told which ports, and the remedy works: ${JSON.stringify(fields)}`, t => {
		const own = {...zones, pods: {links: ['cni0', 'flannel.1', 'flannel-wg']}};
		const lan = {lan: {from: 'pods', to: 'lan'}};
		const [fault = '', ...more] = behind(lan, fields, own);
		t.deepEqual(more, []);
		t.is(/over br0: ([^;]*);/.exec(fault)?.[1] ?? '', shut);
		const remedy = parse(`{${/; add (.*), each with/.exec(fault)?.[1]?.replace(' and ', ', ') ?? ''}}`) as object;
		t.deepEqual(behind({...lan, ...remedy}, fields, own), []);
	});

test('an agent has its pods ask a server on the link', t => {
	const nodes = {udp: {from: 'lan', to: 'machine', ports: [8472, 10250]}};
	t.deepEqual(behind(nodes, {role: 'agent', server: join}), [
		"firewall.allow: pods could not ask the cluster's API; add pods-to-api: {from: pods, to: lan, protocol: tcp, ports: [6443]}",
	]);
});

const network = networkSchema.parse({
	links: {mgmt: {}, spare: {}},
	bridges: {br0: {ports: {mgmt: {}}, addresses: 'dhcp'}, br6: {addresses: ['2001:db8::10/64']}},
});

test('the link of the node is one of network, with addresses of the families of its pods', t => {
	t.deepEqual(check({}, {network}), []);
	t.deepEqual(check({link: 'eth9'}, {network}), [
		'kubernetes.link: eth9 is no link in network; the node has the address of this link: name one of br0, br6',
	]);
	t.regex(check({link: 'spare'}, {network})[0] ?? '', /spare has no addresses in network/);
	t.regex(check({link: 'constructor'}, {network})[0] ?? '', /constructor is no link/);
	const dual = {config: {'cluster-cidr': '10.42.0.0/16,fd00:42::/56', 'service-cidr': '10.43.0.0/16,fd00:43::/112'}};
	t.deepEqual(check(dual, {network}), []);
	t.regex(check({link: 'br6', ...dual}, {network})[0] ?? '', /br6 has IPv6 addresses alone/);
	t.deepEqual(check({link: 'br6'}, {network}), []);
});

const families: [pods: string | undefined, services: string | undefined, wrong: RegExp | undefined][] = [
	['10.42.0.0/16,fd00:42::/56', '10.43.0.0/16,fd00:43::/112', undefined],
	['fd00:42::/56,10.42.0.0/16', 'fd00:43::/112,10.43.0.0/16', undefined],
	['10.42.0.0/16', undefined, undefined],
	[undefined, '10.43.0.0/16', undefined],
	['fd00:42::/56', 'fd00:43::/112', undefined],
	[
		'10.42.0.0/16,fd00:42::/56',
		undefined,
		/cluster-cidr: needs a service-cidr .* such as 10\.43\.0\.0\/16,fd00:43::\/112/,
	],
	['10.42.0.0/16,fd00:42::/56', '10.43.0.0/16', /cluster-cidr: needs a service-cidr of the same families/],
	['fd00:42::/56', undefined, /such as fd00:43::\/112/],
	[undefined, '10.43.0.0/16,fd00:43::/112', /service-cidr: needs a cluster-cidr of the same families/],
	['10.42.0.0/16,10.44.0.0/16', '10.43.0.0/16', /cluster-cidr: is one subnet, or one of IPv4 and one of IPv6/],
];
for (const [of, services, wrong] of families)
	test(`pods in ${of} and services in ${services}: ${wrong ? 'a fault' : 'right'}`, t => {
		const given = Object.entries({'cluster-cidr': of, 'service-cidr': services}).filter(([, value]) => value);
		const faults = check({config: Object.fromEntries(given)}).join('\n');
		if (wrong) t.regex(faults, wrong);
		else t.is(faults, '');
	});
