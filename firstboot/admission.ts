import {isIPv6} from 'node:net';
import {own} from './phase.ts';
import type {Firewall} from './phases/firewall.ts';
import {splitCidr, subnetHolds, toBits} from './subnets.ts';

/** Whether a name in a zone is that of the link. */
export const covers = (name: string, link: string) =>
	name.endsWith('*') ? link.startsWith(name.slice(0, -1)) : name === link;

/** Whether two subnets have an address in common. */
const overlap = (one: string, other: string) =>
	subnetHolds(one, splitCidr(other).address) || subnetHolds(other, splitCidr(one).address);

/** The rules that let SSH in over a link. */
export function listSshRules({zones, allow}: Firewall, link: string): Firewall['allow'][string][] {
	const inside = (zone: string) => (own(zones, zone)?.links ?? []).some(name => covers(name, link));
	return Object.values(allow).filter(({from, to, protocol, ports}) => {
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

/** Whether SSH gets in over a link from an address, or from some part of a subnet. */
export function admitsSsh(firewall: Firewall, link: string, from: string): boolean {
	const subnet = from.includes('/') ? from : `${from}/${isIPv6(from) ? 128 : 32}`;
	return listSshRules(firewall, link).some(({sources}) => sources?.some(source => overlap(source, subnet)) ?? true);
}

/** Whether a subnet has an address of somebody beside the machine, whose own address in its subnet is given. */
function holdsNeighbour(source: string, own: string): boolean {
	if (!overlap(source, own)) return false;
	const {address, prefix, family} = splitCidr(source);
	const width = family === 'ipv6' ? 128 : 32;
	if (width - prefix > 2) return true;
	const [self, host] = [toBits(splitCidr(own).address), BigInt(width - splitCidr(own).prefix)];
	const [first, last] = [(self >> host) << host, ((self >> host) << host) + (1n << host) - 1n];
	const nobody = host < 2n ? [self] : [self, first, ...(family === 'ipv4' ? [last] : [])];
	const begin = (toBits(address) >> BigInt(width - prefix)) << BigInt(width - prefix);
	return Array.from({length: 2 ** (width - prefix)}, (_, index) => begin + BigInt(index)).some(
		one => !nobody.includes(one),
	);
}

/** Whether SSH gets in over a link from an address beside the machine's own, which is given with its prefix. */
export function admitsNeighbour(firewall: Firewall, link: string, own: string): boolean {
	return listSshRules(firewall, link).some(({sources}) => sources?.some(source => holdsNeighbour(source, own)) ?? true);
}
