import {own} from '../sequence.ts';
import type {FalseFact, Sections} from './fact.ts';

type Firewall = NonNullable<Sections['firewall']>;

const covers = (name: string, link: string) =>
	name.endsWith('*') ? link.startsWith(name.slice(0, -1)) : name === link;

function opensSsh({zones, allow}: Firewall, link: string): boolean {
	const inside = (zone: string) => (own(zones, zone)?.links ?? []).some(name => covers(name, link));
	return Object.values(allow).some(({from, to, protocol, ports}) => {
		const holds = ports?.some(port => {
			const [first, last] = String(port).split('-').map(Number);
			return 22 >= (first ?? 0) && 22 <= (last ?? first ?? 0);
		});
		return (
			to === 'machine' &&
			(from === 'any' ? Object.keys(zones).some(inside) : inside(from)) &&
			protocol !== 'udp' &&
			(ports === undefined || holds)
		);
	});
}

/** What is wrong with the section firewall, alone and beside the others. */
export function checkFirewall(firewall: Firewall, network: Sections['network']): FalseFact[] {
	const {zones, allow} = firewall;
	const faults: FalseFact[] = [];
	const links = Object.entries(zones).flatMap(([zone, {links}]) =>
		links.map((link, index) => ({zone, link, path: ['firewall', 'zones', zone, 'links', index]})),
	);
	for (const [index, {link, path}] of links.entries()) {
		const earlier = links.slice(0, index).find(other => other.link === link);
		if (earlier) faults.push({path, message: `${link} is in the zone ${earlier.zone} already`});
	}
	for (const [name, {from, to, ports}] of Object.entries(allow)) {
		const path = ['firewall', 'allow', name];
		const known = Object.keys(zones).join(', ');
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
	const named = network ? {...network.links, ...network.bonds, ...network.bridges, ...network.vlans} : {};
	for (const [name, {addresses}] of Object.entries(named)) {
		if (addresses === undefined || links.some(({link}) => covers(link, name))) continue;
		faults.push({
			path: ['firewall', 'zones'],
			message: `${name} is in no zone, and could reach all of them; add it to one`,
		});
	}
	if (network && !opensSsh(firewall, network.management)) {
		const message = `nobody could reach the machine over SSH: ${network.management} holds its address; add to allow, say, ssh: {from: …, to: machine, protocol: tcp, ports: [22]}`;
		faults.push({path: ['firewall'], message});
	}
	return faults;
}
