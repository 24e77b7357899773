import {isIPv6} from 'node:net';
import type {Command, Probe} from './phase.ts';

interface Address {
	ifname: string;
	flags: string[];
	addr_info: {local: string; prefixlen: number; scope: string; tentative?: boolean; dadfailed?: boolean}[];
}

/** What a link has: a cable, and global addresses. */
export interface Reach {
	carrier: boolean;
	addresses: string[];
	/** The same with the length of their prefixes. */
	subnets: string[];
}

/** Global addresses by link. */
export async function readAddresses(probe: Probe): Promise<Map<string, Reach>> {
	const links = JSON.parse(await probe.output(['ip', '-json', 'address', 'show'])) as Address[];
	return new Map(
		links.map(({ifname, flags, addr_info}) => {
			const global = addr_info.filter(
				({scope, tentative, dadfailed}) => scope === 'global' && !tentative && !dadfailed,
			);
			return [
				ifname,
				{
					carrier: flags.includes('LOWER_UP'),
					addresses: global.map(({local}) => local),
					subnets: global.map(({local, prefixlen}) => `${local}/${prefixlen}`),
				},
			];
		}),
	);
}

interface Route {
	gateway?: string;
	/** A gateway of the other family: IPv4 over an IPv6 neighbour. */
	via?: {host: string};
	nexthops?: Route[];
}

const families = {'-4': 'IPv4', '-6': 'IPv6'} as const;

async function readGateways(probe: Probe, link: string, family: keyof typeof families): Promise<string[]> {
	const text = await probe.output(['ip', '-json', family, 'route', 'show', 'default', 'dev', link]);
	const routes = JSON.parse(text.trim() || '[]') as Route[];
	return routes
		.flatMap(route => [route, ...(route.nexthops ?? [])])
		.flatMap(({gateway, via}) => gateway ?? via?.host ?? []);
}

/** Addresses that were seen on the wire of a link. */
export async function readNeighbours(probe: Probe, link: string): Promise<string[]> {
	const text = await probe.output(['ip', '-json', 'neighbour', 'show', 'dev', link]);
	const found = JSON.parse(text.trim() || '[]') as {dst: string; lladdr?: string}[];
	return found.filter(({lladdr}) => lladdr !== undefined).map(({dst}) => dst);
}

/** The exit status of a program that asked, and was not answered. With any other it could not ask. */
const unanswered: Readonly<Record<string, string>> = {arping: '1', ndisc6: '2', ping: '[12]'};

async function answers(probe: Probe, ask: Command): Promise<boolean> {
	try {
		await probe.output(ask);
		return true;
	} catch (error) {
		const message = error instanceof Error ? error.message : String(error);
		if (new RegExp(`exited with ${unanswered[ask[0]]}$`).test(message)) return false;
		throw new Error(`could not ask whether ${ask.at(-1)} answers: ${message}`, {cause: error});
	}
}

/** Asks on the wire, by ARP or neighbour discovery: a gateway need not answer a ping. */
function answersOnWire(probe: Probe, link: string, address: string): Promise<boolean> {
	return answers(
		probe,
		isIPv6(address)
			? ['ndisc6', '-q', '-1', '-r', '3', '-w', '1000', address, link]
			: ['arping', '-q', '-f', '-c', '3', '-w', '3', '-I', link, address],
	);
}

async function anyAnswers(probe: Probe, link: string, addresses: readonly string[]): Promise<boolean> {
	const replies = await Promise.all(addresses.map(address => answersOnWire(probe, link, address)));
	return replies.includes(true);
}

/** What is to be reached, and over which link. */
export interface Wanted {
	management: string;
	controller?: string | undefined;
	/** Who answered on the wire before. Asked where there is no gateway. */
	neighbours?: readonly string[];
}

/**
 * Why this machine cannot be reached over its management link, or undefined when it can: a cable, an address, a gateway
 * that answers for each address family that has one, and the controller where the profile names one. Without gateway and
 * controller a neighbour must answer. Throws when it could not ask.
 */
export async function findUnreachable(
	{management, controller, neighbours = []}: Wanted,
	probe: Probe,
): Promise<string | undefined> {
	const link = (await readAddresses(probe)).get(management);
	if (!link) return `there is no link ${management}`;
	if (!link.carrier) return `${management} has no carrier: no cable, or the switch port is off`;
	if (link.addresses.length === 0) return `${management} has no address: no DHCP server answers in this VLAN`;
	let routed = false;
	for (const family of ['-4', '-6'] as const) {
		const own = link.addresses.filter(address => isIPv6(address) === (family === '-6'));
		const gateways = own.length > 0 ? await readGateways(probe, management, family) : [];
		if (gateways.length === 0) continue;
		routed = true;
		if (!(await anyAnswers(probe, management, gateways)))
			return `${management} has ${own.join(', ')}, and no ${families[family]} gateway answers on it: ${gateways.join(', ')}`;
	}
	if (controller !== undefined)
		return (await answers(probe, ['ping', '-n', '-q', '-c', '1', '-W', '2', controller]))
			? undefined
			: `the controller ${controller} does not answer`;
	if (routed) return undefined;
	const known = [...new Set([...neighbours, ...(await readNeighbours(probe, management))])];
	return (await anyAnswers(probe, management, known.slice(0, 8)))
		? undefined
		: `${management} has no gateway, and no neighbour answers on it; name a network.controller that does`;
}
