import test from 'ava';
import {networkSchema} from '../links.ts';
import {firewallSchema} from '../phases/firewall.ts';
import {checkFirewall} from './firewall.ts';

const ssh = (more: object = {}) => ({from: 'lan', to: 'machine', protocol: 'tcp', ports: [22], ...more});
const lan = {lan: {links: ['br0']}};

function listFaults(firewall: object, network: object = {}): string[] {
	const links = {mgmt: {mac: '02:00:00:00:00:01'}};
	const bridges = {br0: {ports: {mgmt: {}}, addresses: 'dhcp'}};
	const parsed = networkSchema.parse({links, bridges, ...network});
	return checkFirewall(firewallSchema.parse(firewall), parsed).map(({message}) => message);
}

test('SSH that only far addresses may use is a fault, unless one of them is the controller', t => {
	const fixed = {bridges: {br0: {ports: {mgmt: {}}, addresses: ['192.0.2.10/24']}}};
	const of = (sources: string[], network: object) => listFaults({zones: lan, allow: {ssh: ssh({sources})}}, network);
	t.regex(of(['198.51.100.7/32'], fixed)[0] ?? '', /SSH is open to 198\.51\.100\.7\/32 only/);
	t.regex(of(['198.51.100.7/32'], {})[0] ?? '', /not to the subnet that a lease gives/);
	t.regex(of(['2001:db8::/64'], fixed)[0] ?? '', /only/, 'the machine has no such address');
	t.deepEqual(of(['198.51.100.7/32'], {...fixed, controller: '198.51.100.7'}), []);
	t.deepEqual(of(['192.0.2.64/26'], fixed), []);
	t.deepEqual(of(['10.0.0.0/8'], {}), []);
	t.deepEqual(listFaults({zones: lan, allow: {far: ssh({sources: ['198.51.100.7/32']}), near: ssh()}}, fixed), []);
});

test('a link is in one zone, whichever of its names say so', t => {
	const zones = (one: string, other: string) =>
		listFaults({zones: {lan: {links: ['br0', one]}, iot: {links: [other]}}, allow: {ssh: ssh()}});
	for (const [one, other] of [
		['eth*', 'eth1'],
		['eth1', 'eth*'],
		['et*', 'eth*'],
		['eth*', 'et*'],
	] as const)
		t.true(
			zones(one, other).some(message => /names of the same links/.test(message)),
			`${one} ${other}`,
		);
	t.deepEqual(zones('eth*', 'wlan0'), []);
	t.deepEqual(zones('eth1*', 'eth2*'), []);
});

test('a link without addresses needs a zone too, and a port of a bridge none', t => {
	const links = {mgmt: {mac: '02:00:00:00:00:01'}, spare: {mac: '02:00:00:00:00:02'}};
	t.deepEqual(listFaults({zones: lan, allow: {ssh: ssh()}}, {links}), [
		'spare is in no zone: nothing would pass from it; add it to one',
	]);
});

test('a name that every object has is no zone', t => {
	const allow = {ssh: ssh(), a: {from: 'constructor', to: 'machine'}, b: {from: 'lan', to: 'constructor'}};
	t.deepEqual(
		listFaults({zones: lan, allow}).map(message => message.replace(/;.*/, '')),
		['there is no zone constructor', 'there is no zone constructor'],
	);
});
