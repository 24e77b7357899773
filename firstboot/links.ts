import * as z from 'zod';
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
		'expected a link name: a letter, then lower case letters, digits and dashes, 15 characters at most',
	);

/** An IPv4 or IPv6 address. */
export const address = z.union([z.ipv4(), z.ipv6()]);

const cidr6 = 'expected an IPv6 address with its prefix length, such as 2001:db8::10/64';

/** An address with its prefix length. Zod itself takes 64.5 and NaN for the prefix of an IPv6 address. */
export const cidr = z.union([
	z.cidrv4(),
	z.cidrv6().refine(text => /\/(\d|[1-9]\d|1[01]\d|12[0-8])$/.test(text), cidr6),
]);
const vlanId = z.number().int().min(1).max(4094);

/** What any link may have: addresses and what goes with them. */
const layer3 = {
	addresses: z
		.union([z.enum(['dhcp', 'dhcpv4', 'dhcpv6']), z.array(cidr).min(1)])
		.optional()
		.describe('`dhcp`, `dhcpv4`, `dhcpv6`, or a list of static addresses such as 192.0.2.10/24; none without it'),
	gateway: z
		.array(address)
		.or(address.transform(one => [one]))
		.default([])
		.describe('default gateway, for static addresses; one, or a list with one for each family'),
	routes: z
		.array(z.strictObject({to: cidr, via: address.optional(), metric: z.number().int().min(0).optional()}))
		.default([])
		.describe('further routes'),
	dns: z.array(address).default([]).describe('name servers, beside those that DHCP gives'),
	domains: z
		.array(
			z
				.string()
				.regex(/^(~\.|~?\w([\w-]*\w)?(\.\w([\w-]*\w)?)*\.?)$/, 'expected a domain such as example.org or ~example.org'),
		)
		.default([])
		.describe('search domains; with ~ only routed there'),
	ntp: z
		.array(
			z
				.string()
				.regex(
					/^(\w([\w-]*\w)?(\.\w([\w-]*\w)?)*\.?|[0-9A-Fa-f]*:[0-9A-Fa-f:.]+)$/,
					'expected the name or address of a time server',
				),
		)
		.default([])
		.describe("time servers, instead of Debian's"),
	mtu: z.number().int().min(576).max(65535).optional().describe('bytes; what the link has without it'),
};

const physical = z.strictObject({
	mac: macAddress.optional().describe('its permanent MAC address'),
	path: z
		.string()
		.regex(
			/^pci-[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7](-usb-0:[0-9.]+:\d+\.\d+)?$/,
			'expected a path such as pci-0000:56:00.0, or pci-0000:00:14.0-usb-0:3:1.0 on USB',
		)
		.optional()
		.describe('or where it is, as `udevadm info` prints ID_PATH'),
	...layer3,
});

const port = z.strictObject({
	pvid: vlanId.default(1).describe('the VLAN of untagged frames'),
	tagged: z.array(vlanId).default([]).describe('the VLANs that it carries tagged'),
});

/** The section `network`. */
export const networkSchema = z
	.strictObject({
		management: linkName
			.default('br0')
			.describe('the link over which the machine is reached; the others may be without a cable'),
		controller: address
			.optional()
			.describe(
				'an address that must answer before a changed network is kept, where it did before; and one from which SSH may be open alone',
			),
		links: z
			.record(linkName, physical)
			.default({})
			.describe(
				'the wired links by role, which becomes their name; by mac or path; one without either is the only one left, or the only one with a cable, and never one on USB beside others (a BMC may have such a link)',
			),
		bonds: z
			.record(
				linkName,
				z.strictObject({
					links: z.array(linkName).min(1),
					mode: z
						.enum(['active-backup', '802.3ad'])
						.default('active-backup')
						.describe('`802.3ad` needs LACP on the switch'),
					...layer3,
				}),
			)
			.default({})
			.describe('links that act as one'),
		bridges: z
			.record(
				linkName,
				z.strictObject({
					ports: z.record(linkName, port).default({}).describe('links and bonds; virtual machines join by themselves'),
					vlanAware: z
						.boolean()
						.optional()
						.describe('keeps VLANs apart; true by itself where a port or a VLAN of the profile needs it'),
					stp: z.boolean().default(false).describe('spanning tree; only where two ports could make a loop'),
					...layer3,
				}),
			)
			.default({})
			.describe('bridges; the MAC address is that of the first port, so that a lease does not change'),
		vlans: z
			.record(
				linkName,
				z.strictObject({link: linkName.describe('what it is on: a link, bond or bridge'), id: vlanId, ...layer3}),
			)
			.default({})
			.describe('VLANs in which the machine itself has a link'),
	})
	.describe(
		'The links of the machine: wired, bonds, bridges, VLANs; written for systemd-networkd. Without this section every wired link has DHCP, and no change of it is on trial.',
	);

export type Network = z.output<typeof networkSchema>;

/** What any link may have. */
export type Layer3 = Network['links'][string];

/** A wired link of the machine. */
export interface Link {
	name: string;
	/** Permanent MAC address, lower case. */
	mac: string;
	/** As udev's ID_PATH; empty when it is on no PCI bus. */
	path: string;
	/** The bridge or bond that it is a port of. */
	master: string | undefined;
	up: boolean;
	/** Whether a cable with something at its other end is there; known only of a link that is up. */
	carrier: boolean;
}

export interface IpLink {
	ifname: string;
	link_type: string;
	link?: string;
	flags?: string[];
	address?: string;
	permaddr?: string;
	master?: string;
	linkinfo?: {info_kind?: string; info_data?: Record<string, unknown>};
}

export const listLinks: Command = ['ip', '-json', '-details', 'link', 'show'];

/** All links as the kernel lists them. */
export async function readIpLinks(probe: Probe): Promise<IpLink[]> {
	return JSON.parse(await probe.output(listLinks)) as IpLink[];
}

/** Where a device is, as udev's path_id says it for links on PCI and on USB. */
function readPath(device: string): string {
	const pci = [...device.matchAll(/\/([0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7])(?=\/)/g)].at(-1)?.[1];
	const usb = [...device.matchAll(/\/\d+-([\d.]+:\d+\.\d+)(?=\/)/g)].at(-1)?.[1];
	return pci ? `pci-${pci}${usb ? `-usb-0:${usb}` : ''}` : '';
}

const isUsb = ({path}: Link) => path.includes('-usb-');

/** The wired Ethernet links, by MAC address. */
export async function readLinks(probe: Probe): Promise<Link[]> {
	const wired: Link[] = [];
	const devices = await probe.list('/sys/class/net');
	for (const link of await readIpLinks(probe)) {
		if (link.link_type !== 'ether' || link.linkinfo?.info_kind !== undefined) continue;
		const uevent = (await probe.read(`/sys/class/net/${link.ifname}/uevent`)) ?? '';
		if (/^DEVTYPE=/m.test(uevent)) continue; // wlan, wwan, …: a wired Ethernet link has no DEVTYPE
		wired.push({
			name: link.ifname,
			mac: (link.permaddr ?? link.address ?? '').toLowerCase(),
			path: readPath(devices?.get(link.ifname)?.target ?? ''),
			master: link.master,
			up: link.flags?.includes('UP') ?? false,
			carrier: link.flags?.includes('LOWER_UP') ?? false,
		});
	}
	// The virtual function below a link of Hyper-V or the like has its address and no life of its own.
	const isBelow = ({master, mac}: Link) => wired.some(other => other.name === master && other.mac === mac);
	return wired.filter(one => !isBelow(one)).sort((a, b) => a.mac.localeCompare(b.mac));
}

function explainLinks(links: readonly Link[]): string[] {
	if (links.length === 0)
		return ['  (this machine shows no wired link; its driver may need firmware: debian.packages)'];
	return links.map(({name, mac, path, up, carrier}) =>
		`  ${name}  ${mac}  ${path}  ${up ? (carrier ? 'cable' : 'no cable') : 'down'}`.trimEnd(),
	);
}

/** A field that names this link and no other. */
function findName(link: Link, links: readonly Link[]): string | undefined {
	for (const field of ['mac', 'path'] as const)
		if (link[field] && links.filter(other => other[field] === link[field]).length === 1)
			return `${field}: '${link[field]}'`;
	return undefined;
}

function refuse(role: string, wanted: string, matches: readonly Link[], links: readonly Link[]): Error {
	const names = (matches.length > 0 ? matches : links).flatMap(link => findName(link, links) ?? []);
	const remedy =
		names.length > 0
			? [
					'name the link in the profile and build the medium again:',
					...names.map(name => `  network: {links: {${role}: {${name}}}}`),
				]
			: links.length > 0
				? ['no two of them differ in mac or path, so none can be named; leave the cable in one only']
				: [];
	return new Error(
		[
			`network.links.${role} must be exactly one wired link (${wanted}) and ${matches.length} match`,
			...explainLinks(links),
			...remedy,
		].join('\n'),
	);
}

/** Links that no role names by address or place, and the roles without either. Beside others, one on USB is named or not used: a BMC's is one. */
export function findFree({links: roles}: Network, links: readonly Link[]): {role: string; free: Link[]}[] {
	const named = Object.values(roles);
	const candidates = links.every(isUsb) ? links : links.filter(link => !isUsb(link));
	const free = candidates.filter(({mac, path}) => !named.some(role => role.mac === mac || role.path === path));
	return Object.keys(roles)
		.filter(role => roles[role]?.mac === undefined && roles[role]?.path === undefined)
		.map(role => ({role, free}));
}

/** Once all of these links had time to find their cables: their MAC addresses. */
export const settledPath = '/run/bringup/links-settled';

/** The links of which not the same one is taken whatever they say of cables later. */
export function findUnsettled(network: Network, links: readonly Link[]): Link[] {
	return findFree(network, links)
		.filter(({role, free}) => free.length > 1 && free.filter(({name}) => name === role).length !== 1)
		.flatMap(({free}) => free);
}

/** What the mark says when these links have settled. */
export const formatSettled = (links: readonly Link[]) => links.map(({mac}) => `${mac}\n`).join('');

/** The wired link of every role. Throws, with every link listed, when one is not exactly one. */
export async function chooseLinks(network: Network, probe: Probe): Promise<Map<string, Link>> {
	const links = await readLinks(probe);
	const chosen = new Map<string, Link>();
	for (const [role, {mac, path}] of Object.entries(network.links)) {
		if (mac === undefined && path === undefined) continue;
		const matches = links.filter(link => (mac ?? link.mac) === link.mac && (path ?? link.path) === link.path);
		const [only] = matches;
		if (!only || matches.length > 1) throw refuse(role, [mac, path].filter(Boolean).join(', '), matches, links);
		chosen.set(role, only);
	}
	for (const {role, free} of findFree(network, links)) {
		// The link that has the name already stays: another card, or another cable, does not change it.
		const named = free.filter(({name}) => name === role);
		const cabled = free.filter(({carrier}) => carrier);
		const byName = named.length === 1 ? named : free.length === 1 ? free : undefined;
		if (!byName && (await probe.read(settledPath)) !== formatSettled(findUnsettled(network, links)))
			throw new Error(`network.links.${role}: which links have a cable is not known yet; the phase link finds out`);
		const [only, second] = byName ?? cabled;
		if (!only || second) throw refuse(role, 'the only one with a cable', cabled, links);
		chosen.set(role, only);
	}
	return chosen;
}
