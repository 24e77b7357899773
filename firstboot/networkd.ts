import type {Layer3, Link, Network} from './links.ts';
import {own} from './phase.ts';

/** Where networkd and udev read; files of ours have `bringup` in their names, others are left alone. */
export const networkFolder = '/etc/systemd/network';

function section(name: string, lines: readonly (string | false | undefined)[]): string {
	return [`[${name}]`, ...lines.filter(Boolean), ''].join('\n');
}

const yesNo = (value: boolean) => (value ? 'yes' : 'no');

/** The MAC address that a link of the profile has: a bridge or bond takes that of its first port, or its lease would change (systemd/systemd#30813). */
export function findMac(network: Network, links: ReadonlyMap<string, Link>, name: string): string | undefined {
	const first = own(network.bonds, name)?.links[0] ?? Object.keys(own(network.bridges, name)?.ports ?? {})[0];
	return first === undefined ? links.get(name)?.mac : findMac(network, links, first);
}

/** Whether a bridge keeps VLANs apart. */
export function isVlanAware({bridges, vlans}: Network, name: string): boolean {
	const bridge = own(bridges, name);
	const needed =
		Object.values(bridge?.ports ?? {}).some(({pvid, tagged}) => pvid !== 1 || tagged.length > 0) ||
		Object.values(vlans).some(({link}) => link === name);
	return bridge?.vlanAware ?? needed;
}

/** The VLANs in which the machine itself is on a bridge. */
export function listOwnVlans({vlans}: Network, bridge: string): number[] {
	return Object.values(vlans).flatMap(({link, id}) => (link === bridge ? [id] : []));
}

function formatVlans(pvid: number, tagged: readonly number[]): string[] {
	const untagged = section('BridgeVLAN', [`VLAN=${pvid}`, `PVID=${pvid}`, `EgressUntagged=${pvid}`]);
	return [untagged, ...tagged.filter(id => id !== pvid).map(id => section('BridgeVLAN', [`VLAN=${id}`]))];
}

function formatLayer3({addresses, gateway, dns, domains, ntp}: Layer3, managed: boolean): (string | false)[] {
	const dhcp = {dhcp: 'yes', dhcpv4: 'ipv4', dhcpv6: 'ipv6'};
	const fixed = typeof addresses === 'object' ? addresses : [];
	return [
		typeof addresses === 'string' && `DHCP=${dhcp[addresses]}`,
		...fixed.map(address => `Address=${address}`),
		...gateway.map(address => `Gateway=${address}`),
		...dns.map(server => `DNS=${server}`),
		domains.length > 0 && `Domains=${domains.join(' ')}`,
		...ntp.map(server => `NTP=${server}`),
		addresses === undefined && 'LinkLocalAddressing=no',
		addresses === undefined && 'IPv6AcceptRA=no',
		// A bridge that only virtual machines are on has no carrier before they run.
		!managed && typeof addresses !== 'string' && 'ConfigureWithoutCarrier=yes',
	];
}

function formatRoute({to, via, metric}: Layer3['routes'][number]): string {
	return section('Route', [
		`Destination=${to}`,
		via !== undefined && `Gateway=${via}`,
		metric !== undefined && `Metric=${metric}`,
	]);
}

interface Master {
	line: string;
	/** The bridge's view of this port. */
	vlans: string[];
}

function findMaster(network: Network, name: string): Master | undefined {
	for (const [bond, {links}] of Object.entries(network.bonds))
		if (links.includes(name)) return {line: `Bond=${bond}`, vlans: []};
	for (const [bridge, {ports}] of Object.entries(network.bridges)) {
		const port = own(ports, name);
		if (port)
			return {
				line: `Bridge=${bridge}`,
				vlans: isVlanAware(network, bridge) ? formatVlans(port.pvid, port.tagged) : [],
			};
	}
	return undefined;
}

/** The .network file of a link: what it is a port of, its VLANs, its addresses. */
function formatLink(network: Network, name: string, link: Layer3, match: string[], vlans: string[] = []): string {
	const master = findMaster(network, name);
	const on = Object.entries(network.vlans).filter(([, vlan]) => vlan.link === name);
	const dhcp = typeof link.addresses === 'string';
	return [
		section('Match', match),
		section('Link', [
			`RequiredForOnline=${name === network.management ? 'routable' : 'no'}`,
			link.mtu !== undefined && `MTUBytes=${link.mtu}`,
		]),
		section('Network', [
			...(master ? [master.line, 'LinkLocalAddressing=no'] : formatLayer3(link, name === network.management)),
			...on.map(([vlan]) => `VLAN=${vlan}`),
		]),
		// One identity for each link, the one that a switch and a reservation know (systemd/systemd#9609).
		...(dhcp ? [section('DHCPv4', ['ClientIdentifier=mac'])] : []),
		...link.routes.map(formatRoute),
		...(master?.vlans ?? []),
		...vlans,
	].join('\n');
}

type Files = [name: string, content: string][];

function formatPhysical(network: Network, chosen: ReadonlyMap<string, Link>): Files {
	return Object.entries(network.links).flatMap(([role, link]): Files => {
		const match = link.path === undefined || link.mac !== undefined;
		const which = match ? `PermanentMACAddress=${chosen.get(role)?.mac}` : `Path=${link.path}`;
		return [
			[
				`10-bringup-${role}.link`,
				[section('Match', ['Type=ether', which]), section('Link', [`Name=${role}`])].join('\n'),
			],
			[`30-bringup-${role}.network`, formatLink(network, role, link, ['Type=ether', `Name=${role}`])],
		];
	});
}

function formatBonds(network: Network, chosen: ReadonlyMap<string, Link>): Files {
	return Object.entries(network.bonds).flatMap(([name, bond]): Files => {
		const lacp = bond.mode === '802.3ad';
		const netdev = [
			section('NetDev', [`Name=${name}`, 'Kind=bond', `MACAddress=${findMac(network, chosen, name)}`]),
			section('Bond', [
				`Mode=${bond.mode}`,
				'MIIMonitorSec=100ms',
				lacp && 'LACPTransmitRate=fast',
				lacp && 'TransmitHashPolicy=layer3+4',
			]),
		];
		return [
			[`20-bringup-${name}.netdev`, netdev.join('\n')],
			[`30-bringup-${name}.network`, formatLink(network, name, bond, [`Name=${name}`])],
		];
	});
}

function formatBridges(network: Network, chosen: ReadonlyMap<string, Link>): Files {
	return Object.entries(network.bridges).flatMap(([name, bridge]): Files => {
		const aware = isVlanAware(network, name);
		const mac = findMac(network, chosen, name);
		const netdev = [
			section('NetDev', [`Name=${name}`, 'Kind=bridge', mac !== undefined && `MACAddress=${mac}`]),
			section('Bridge', [
				`STP=${yesNo(bridge.stp)}`,
				!bridge.stp && 'ForwardDelaySec=0',
				`VLANFiltering=${yesNo(aware)}`,
			]),
		];
		// PVID 1 is the bridge's own address; its VLANs are the machine's.
		const vlans = aware ? formatVlans(1, listOwnVlans(network, name)) : [];
		return [
			[`20-bringup-${name}.netdev`, netdev.join('\n')],
			[`30-bringup-${name}.network`, formatLink(network, name, bridge, [`Name=${name}`], vlans)],
		];
	});
}

function formatVlanLinks(network: Network): Files {
	return Object.entries(network.vlans).flatMap(
		([name, vlan]): Files => [
			[
				`20-bringup-${name}.netdev`,
				[section('NetDev', [`Name=${name}`, 'Kind=vlan']), section('VLAN', [`Id=${vlan.id}`])].join('\n'),
			],
			[`30-bringup-${name}.network`, formatLink(network, name, vlan, [`Name=${name}`])],
		],
	);
}

/** The files of networkd and udev for a profile's network on this machine's links; by name, in the folder above. */
export function formatNetwork(network: Network, chosen: ReadonlyMap<string, Link>): Map<string, string> {
	return new Map([
		...formatPhysical(network, chosen),
		...formatBonds(network, chosen),
		...formatBridges(network, chosen),
		...formatVlanLinks(network),
	]);
}
