import {z} from 'zod';
import type {Command, Probe} from './phase.ts';

/** A MAC address, in lower case. */
export const macAddress = z
	.string()
	.regex(/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i, 'expected a MAC address such as 02:00:5e:10:00:01')
	.transform(mac => mac.toLowerCase());

/** The name of a link. */
export const linkName = z
	.string()
	.regex(
		/^[a-z][a-z0-9-]{0,14}$/,
		'expected a link name: a letter, then letters, digits and dashes, 15 characters at most',
	)
	.describe('lower case, 15 characters at most');

/** An IPv4 or IPv6 address. */
export const address = z.union([z.ipv4(), z.ipv6()]);

/** The section `network`. */
export const networkSchema = z
	.strictObject({
		management: z
			.strictObject({
				mac: macAddress
					.optional()
					.describe('permanent MAC address of the link; may be left out on a machine with one wired link'),
				name: linkName.default('mgmt').describe('the name that the link gets'),
			})
			.prefault({})
			.describe('the link over which the machine is reached'),
		bridge: z
			.strictObject({
				name: linkName.default('br0'),
				addresses: z
					.union([z.literal('dhcp'), z.array(z.union([z.cidrv4(), z.cidrv6()])).min(1)])
					.default('dhcp')
					.describe('`dhcp`, or a list of static addresses such as 192.0.2.10/24'),
				gateway: address.optional().describe('default gateway, for static addresses'),
				dns: z.array(address).default([]).describe('name servers, beside those that DHCP gives'),
				ntp: z.array(z.string().min(1)).default([]).describe("time servers, instead of Debian's"),
			})
			.prefault({})
			.describe(
				'the bridge that holds the address, with the management link as its port; virtual machines join it later',
			),
	})
	.describe('The management link and the bridge on it.');

export type Network = z.output<typeof networkSchema>;

/** A wired link of the machine. */
export interface Link {
	name: string;
	/** Permanent MAC address, lower case. */
	mac: string;
	/** The bridge that it is a port of. */
	bridge: string | undefined;
}

interface IpLink {
	ifname: string;
	link_type: string;
	address?: string;
	permaddr?: string;
	master?: string;
	linkinfo?: {info_kind?: string};
}

export const listLinks: Command = ['ip', '-json', '-details', 'link', 'show'];

/** All links as the kernel lists them. */
export async function readIpLinks(probe: Probe): Promise<IpLink[]> {
	return JSON.parse(await probe.output(listLinks)) as IpLink[];
}

/** The wired Ethernet links, by MAC address. */
export async function readLinks(probe: Probe): Promise<Link[]> {
	const wired: Link[] = [];
	for (const link of await readIpLinks(probe)) {
		if (link.link_type !== 'ether' || link.linkinfo?.info_kind !== undefined) continue;
		const uevent = (await probe.read(`/sys/class/net/${link.ifname}/uevent`)) ?? '';
		if (/^DEVTYPE=/m.test(uevent)) continue; // wlan, wwan, …: a wired Ethernet link has no DEVTYPE
		wired.push({name: link.ifname, mac: (link.permaddr ?? link.address ?? '').toLowerCase(), bridge: link.master});
	}
	return wired.sort((a, b) => a.mac.localeCompare(b.mac));
}

/** The management link. Throws, with every link listed, when it is not exactly one. */
export async function chooseLink({management}: Network, probe: Probe): Promise<Link> {
	const links = await readLinks(probe);
	// Without an address in the profile, the link that has the name already stays: another card does not change it.
	const named = links.filter(({name}) => name === management.name);
	const free = named.length === 1 ? named : links;
	const matches = management.mac === undefined ? free : links.filter(({mac}) => mac === management.mac);
	const [only] = matches;
	if (only && matches.length === 1) return only;
	const wanted = management.mac ?? 'the only wired link';
	throw new Error(
		[
			`network.management must be exactly one link (${wanted}) and ${matches.length} match`,
			...links.map(({name, mac}) => `  ${name}  ${mac}`),
			...(links.length === 0
				? ['  (this machine shows no wired link; its driver may need firmware: debian.packages)']
				: []),
			'name the link in the profile and build the medium again:',
			`  network: {management: {mac: '${links[0]?.mac ?? '…'}'}}`,
		].join('\n'),
	);
}
