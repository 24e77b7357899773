import {covers} from '../sequence.ts';
import type {Sections} from './fact.ts';

type Firewall = NonNullable<Sections['firewall']>;

/** The zone that a link is in. */
export function findZone({zones}: Firewall, link: string): string | undefined {
	return Object.entries(zones).find(([, {links}]) => links.some(name => covers(name, link)))?.[0];
}

/** A port of the machine, or of a zone. */
export interface Opening {
	to: string;
	protocol: 'tcp' | 'udp';
	port: number;
}

/** Whether what comes over a link may reach a port, from wherever. */
export function isOpen(firewall: Firewall, link: string, {to, protocol, port}: Opening): boolean {
	const zone = findZone(firewall, link);
	if (zone !== undefined && zone === to) return true;
	return Object.values(firewall.allow).some(rule => {
		const holds = rule.ports?.some(one => {
			const [first = 0, last = first] = String(one).split('-').map(Number);
			return port >= first && port <= last;
		});
		const isFrom = zone !== undefined && (rule.from === 'any' || rule.from === zone);
		return isFrom && rule.to === to && (rule.protocol ?? protocol) === protocol && (holds ?? true);
	});
}
