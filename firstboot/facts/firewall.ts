import {isIPv6} from 'node:net';
import {admitsNeighbour, admitsSsh, covers, listSshRules, own, splitCidr} from '../sequence.ts';
import type {FalseFact, Sections} from './fact.ts';

type Firewall = NonNullable<Sections['firewall']>;
type Network = NonNullable<Sections['network']>;

/** Two names of links, one of which may stand for the other too. */
const collide = (one: string, other: string) =>
	covers(one, other) || covers(other, one) || (other.endsWith('*') && covers(one, other.slice(0, -1)));

function checkZones({zones}: Firewall): FalseFact[] {
	const links = Object.entries(zones).flatMap(([zone, {links}]) =>
		links.map((link, index) => ({zone, link, path: ['firewall', 'zones', zone, 'links', index]})),
	);
	return links.flatMap(({zone, link, path}, index) => {
		const earlier = links.slice(0, index).find(other => collide(other.link, link));
		if (!earlier) return [];
		const same = earlier.link === link || earlier.zone === zone;
		const message = same
			? `${link} is in the zone ${earlier.zone} already${earlier.link === link ? '' : `, as ${earlier.link}`}`
			: `${link} and ${earlier.link} of the zone ${earlier.zone} are names of the same links; each link is in one zone`;
		return [{path, message}];
	});
}

function checkAllow({zones, allow}: Firewall): FalseFact[] {
	const faults: FalseFact[] = [];
	const known = Object.keys(zones).join(', ');
	for (const [name, {from, to, ports}] of Object.entries(allow)) {
		const path = ['firewall', 'allow', name];
		if (from !== 'any' && !own(zones, from))
			faults.push({path: [...path, 'from'], message: `there is no zone ${from}; there are ${known}`});
		if (to !== 'machine' && !own(zones, to))
			faults.push({path: [...path, 'to'], message: `there is no zone ${to}; there are machine, ${known}`});
		ports?.forEach((port, index) => {
			const [first = 0, last = 0] = String(port).split('-').map(Number);
			if (typeof port === 'string' && (first < 1 || last > 65535 || first > last))
				faults.push({path: [...path, 'ports', index], message: `${port} is no range of ports`});
		});
	}
	return faults;
}

/** Whether somebody can be where the sources of SSH are: beside the machine, or at the controller. */
function checkSsh(firewall: Firewall, {management, controller, ...kinds}: Network): FalseFact[] {
	const path = ['firewall'];
	const rules = listSshRules(firewall, management);
	if (rules.length === 0) {
		const message = `nobody could reach the machine over SSH: ${management} holds its address; add to allow, say, ssh: {from: …, to: machine, protocol: tcp, ports: [22]}`;
		return [{path, message}];
	}
	if (controller !== undefined && admitsSsh(firewall, management, controller)) return [];
	const {addresses} =
		Object.values(kinds).reduce<Network['links'][string] | undefined>(
			(found, map) => found ?? own(map, management),
			undefined,
		) ?? {};
	const sources = rules.flatMap(({sources}) => sources ?? []);
	// Where a lease says the subnet, single addresses cannot be all of it.
	const near =
		typeof addresses === 'object'
			? addresses.some(cidr => admitsNeighbour(firewall, management, cidr))
			: rules.some(rule => rule.sources === undefined) ||
				sources.some(cidr => splitCidr(cidr).prefix < (isIPv6(splitCidr(cidr).address) ? 127 : 31));
	if (near) return [];
	const where = typeof addresses === 'object' ? `of ${addresses.join(', ')}` : 'that a lease gives the machine';
	const message = `SSH is open to ${sources.join(', ')} only, and not to the subnet ${where}: a mistyped digit shuts everybody out. Add that subnet, or name the one who administers the machine: network.controller`;
	return [{path, message}];
}

/** What is wrong with the section firewall, alone and beside the others. */
export function checkFirewall(firewall: Firewall, network: Sections['network']): FalseFact[] {
	const faults = [...checkZones(firewall), ...checkAllow(firewall)];
	if (!network) return faults;
	const zoned = Object.values(firewall.zones).flatMap(({links}) => links);
	const {links, bonds, bridges, vlans} = network;
	const parts = [
		...Object.values(bonds).flatMap(bond => bond.links),
		...Object.values(bridges).flatMap(({ports}) => Object.keys(ports)),
	];
	for (const name of Object.keys({...links, ...bonds, ...bridges, ...vlans})) {
		if (parts.includes(name) || zoned.some(link => covers(link, name))) continue;
		const message = `${name} is in no zone: nothing would pass from it; add it to one`;
		faults.push({path: ['firewall', 'zones'], message});
	}
	return [...faults, ...checkSsh(firewall, network)];
}
