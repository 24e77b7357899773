import test from 'ava';
import {networkSchema} from '../links.ts';
import {checkNetwork} from './network.ts';

const mac = '02:00:00:00:00:01';
const wan = '02:00:00:00:00:02';

/** The faults of a network that has a bridge br0, with more or other fields. */
function listFaults(bridge: object, more: object = {}): string[] {
	const network = {links: {mgmt: {mac}}, bridges: {br0: {ports: {mgmt: {}}, ...bridge}}, ...more};
	return checkNetwork(networkSchema.parse(network)).map(({path, message}) => `${path.slice(1).join('.')}: ${message}`);
}
const fixed = {addresses: ['192.0.2.10/24']};
const six = {addresses: ['2001:db8:1::2/64']};

test('a gateway with a link-local address is on every link that has IPv6', t => {
	t.deepEqual(listFaults({...six, gateway: 'fe80::1'}), []);
	t.deepEqual(listFaults({...six, routes: [{to: '2001:db8:2::/48', via: 'fe80::1'}]}), []);
	t.regex(listFaults({...fixed, gateway: 'fe80::1'})[0] ?? '', /is of IPv6, and 192\.0\.2\.10\/24 is not/);
});

test('networks that cannot work are faults, with what to do', t => {
	const second = {links: {mgmt: {mac}, wan: {mac: wan, addresses: ['198.51.100.2/24'], gateway: '198.51.100.1'}}};
	const cases: [string, string[], RegExp][] = [
		[
			'two gateways of one family',
			listFaults({...fixed, gateway: ['192.0.2.1', '192.0.2.2']}),
			/br0 has a default gateway of IPv4 already/,
		],
		[
			'two links with one each',
			listFaults({...fixed, gateway: '192.0.2.1'}, second),
			/has a default gateway of IPv4 already, and what comes in/,
		],
		['its own address', listFaults({...fixed, gateway: '192.0.2.10'}), /an address of the machine itself/],
		[
			'a default route beside a gateway',
			listFaults({...fixed, gateway: '192.0.2.1', routes: [{to: '0.0.0.0/0', via: '192.0.2.2'}]}),
			/already/,
		],
		[
			'a route by a far gateway',
			listFaults({...fixed, routes: [{to: '10.0.0.0/8', via: '198.51.100.1'}]}),
			/lies in no subnet .* routes: \[\{to: "198\.51\.100\.1\/32"\}\]/,
		],
		['a far gateway', listFaults({addresses: ['192.0.2.5/32'], gateway: '198.51.100.1'}), /say so: routes/],
		[
			'a route of two families',
			listFaults({...six, routes: [{to: '2001:db8:2::/48', via: '192.0.2.1'}]}),
			/is of IPv4, and/,
		],
		[
			'a bridge wider than its port',
			listFaults({addresses: 'dhcp', mtu: 9000}),
			/larger than that of its port mgmt, 1500/,
		],
		['IPv6 on small packets', listFaults({addresses: 'dhcpv6', mtu: 576}), /1280 bytes/],
		[
			'VLAN 1 of a bridge',
			listFaults({addresses: 'dhcp'}, {vlans: {v: {link: 'br0', id: 1, addresses: 'dhcp'}}}),
			/VLAN 1 of br0 is br0 itself/,
		],
		[
			'a VLAN with and without a tag',
			listFaults({addresses: 'dhcp', ports: {mgmt: {tagged: [1, 20]}}}),
			/ports\.mgmt\.tagged: 1 is the VLAN of untagged frames/,
		],
	];
	for (const [name, faults, wanted] of cases) {
		t.is(faults.length, 1, `${name}: ${faults.join('; ')}`);
		t.regex(faults[0] ?? '', wanted, name);
	}
});

test('networks that do work are none', t => {
	t.deepEqual(
		listFaults({addresses: ['203.0.113.5/32'], gateway: '198.51.100.1', routes: [{to: '198.51.100.1/32'}]}),
		[],
	);
	const routes = [{to: '198.51.100.1/32'}, {to: '0.0.0.0/0', via: '198.51.100.1'}];
	t.deepEqual(listFaults({addresses: ['203.0.113.5/32'], routes}), []);
	t.deepEqual(listFaults({addresses: ['192.0.2.4/31'], gateway: '192.0.2.5'}), []);
	t.deepEqual(listFaults({addresses: ['192.0.2.10/24', '2001:db8::10/64'], gateway: ['192.0.2.1', '2001:db8::1']}), []);
	const second = {
		links: {
			mgmt: {mac},
			wan: {mac: wan, addresses: ['198.51.100.2/24'], routes: [{to: '0.0.0.0/0', via: '198.51.100.1', metric: 200}]},
		},
	};
	t.deepEqual(listFaults({...fixed, gateway: '192.0.2.1'}, second), []);
	t.deepEqual(listFaults({addresses: 'dhcp', mtu: 9000}, {links: {mgmt: {mac, mtu: 9000}}}), []);
	t.deepEqual(listFaults({addresses: 'dhcp', ports: {mgmt: {pvid: 5, tagged: [1, 20]}}}), []);
	t.deepEqual(
		listFaults({addresses: 'dhcp', routes: [{to: '10.0.0.0/8', via: '192.0.2.1'}]}),
		[],
		'a lease may say so',
	);
});
