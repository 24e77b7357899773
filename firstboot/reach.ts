import type {Network} from './links.ts';
import type {Command, Probe} from './phase.ts';

interface Address {
	ifname: string;
	flags: string[];
	addr_info: {family: string; local: string; scope: string; tentative?: boolean}[];
}

/** Global addresses by link. */
export async function readAddresses(probe: Probe): Promise<Map<string, {carrier: boolean; addresses: string[]}>> {
	const links = JSON.parse(await probe.output(['ip', '-json', 'address', 'show'])) as Address[];
	return new Map(
		links.map(({ifname, flags, addr_info}) => [
			ifname,
			{
				carrier: flags.includes('LOWER_UP'),
				addresses: addr_info.filter(({scope, tentative}) => scope === 'global' && !tentative).map(({local}) => local),
			},
		]),
	);
}

async function readGateways(probe: Probe, link: string): Promise<string[]> {
	const gateways: string[] = [];
	for (const family of ['-4', '-6']) {
		const text = await probe.output(['ip', '-json', family, 'route', 'show', 'default', 'dev', link]);
		const routes = JSON.parse(text.trim() || '[]') as {gateway?: string}[];
		gateways.push(...routes.flatMap(({gateway}) => gateway ?? []));
	}
	return gateways;
}

/** Asks on the wire, by ARP or neighbour discovery: a gateway need not answer a ping. */
async function answers(probe: Probe, link: string, gateway: string): Promise<boolean> {
	const ask: Command = gateway.includes(':')
		? ['ndisc6', '-q', '-1', '-r', '3', '-w', '1000', gateway, link]
		: ['arping', '-q', '-f', '-c', '3', '-w', '3', '-I', link, gateway];
	return probe.output(ask).then(
		() => true,
		() => false,
	);
}

/**
 * Why this machine cannot be reached over its management link, or undefined when it can: a cable, an address, a gateway
 * that answers, and the controller where the profile names one.
 */
export async function findUnreachable(
	{management, controller}: Pick<Network, 'management' | 'controller'>,
	probe: Probe,
): Promise<string | undefined> {
	const link = (await readAddresses(probe)).get(management);
	if (!link) return `there is no link ${management}`;
	if (!link.carrier) return `${management} has no carrier: no cable, or the switch port is off`;
	if (link.addresses.length === 0) return `${management} has no address: no DHCP server answers in this VLAN`;
	const gateways = await readGateways(probe, management);
	const replies = await Promise.all(gateways.map(gateway => answers(probe, management, gateway)));
	if (gateways.length > 0 && !replies.includes(true))
		return `${management} has ${link.addresses.join(', ')}, and no gateway answers on it: ${gateways.join(', ')}`;
	if (controller === undefined) return undefined;
	return probe.output(['ping', '-n', '-q', '-c', '1', '-W', '2', controller]).then(
		() => undefined,
		() => `the controller ${controller} does not answer`,
	);
}
