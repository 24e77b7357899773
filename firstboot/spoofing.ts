import type {Table} from './nftables.ts';
import {toBits} from './subnets.ts';
import type {PlacedDomain, PlacedLink} from './virtualization.ts';

/** The first bits of an IPv6 subnet, as a number in hexadecimal. */
function formatBits(address: string, prefix: number): string {
	return `0x${(toBits(address) >> BigInt(128 - prefix)).toString(16)}`;
}

/** nftables has a name for the target of a neighbour advertisement only from 1.0.7 on; its place in the packet is this. */
function matchTarget(subnet: string): string {
	const [address = '', prefix = '128'] = subnet.split('/');
	return prefix === '0' ? 'accept' : `@th,64,${prefix} ${formatBits(address, Number(prefix))} accept`;
}

function formatChain(name: string, rules: readonly string[]): string {
	return [`\tchain ${name} {`, ...rules.map(rule => `\t\t${rule}`), '\t}'].join('\n');
}

/**
 * What only a router or a DHCP server sends: router advertisements and redirects, and what goes to a DHCP client,
 * whatever port it comes from. Behind a VLAN tag none of this would be seen, and some take VLAN 0 for no VLAN.
 */
const ofRouters = [
	'ether type { 0x8100, 0x88a8 } drop',
	'icmpv6 type { nd-router-advert, nd-redirect } drop',
	'udp dport { 68, 546 } drop',
];

/** What a link may send: from its MAC address, and where its addresses are known, from these. */
function formatLink({device, mac, addresses, floating}: PlacedLink): string[] {
	const own = [`ether saddr != ${mac} drop`, ...ofRouters];
	if (addresses.length === 0) return [formatChain(device, [...own, `arp saddr ether != ${mac} drop`])];
	const known = [...addresses.map(cidr => cidr.replace(/\/.*/, '')), ...floating];
	const four = ['0.0.0.0', ...known.filter(one => !one.includes(':'))];
	const six = ['fe80::/10', ...known.filter(one => one.includes(':'))];
	const accept = (field: string, list: readonly string[]) => [...list.map(one => `${field} ${one} accept`), 'drop'];
	return [
		formatChain(`arp-${device}`, [`arp saddr ether != ${mac} drop`, ...accept('arp saddr ip', four)]),
		formatChain(`ip-${device}`, accept('ip saddr', four)),
		formatChain(`nd-${device}`, [...six.map(matchTarget), 'drop']),
		formatChain(`ip6-${device}`, [
			`icmpv6 type nd-neighbor-advert goto nd-${device}`,
			...accept('ip6 saddr', ['::', ...six]),
		]),
		formatChain(device, [
			...own,
			// All else is dropped: a VLAN tag would hide a packet from these rules. 0x8035 is RARP, with which QEMU announces itself.
			`ether type vmap { arp : goto arp-${device}, ip : goto ip-${device}, ip6 : goto ip6-${device}, 0x8035 : accept }`,
			'drop',
		]),
	];
}

/** The table that keeps domains to their addresses. */
export function renderSpoofing(domains: readonly PlacedDomain[]): Table {
	const links = domains.flatMap(({links}) => links).filter(({antiSpoofing}) => antiSpoofing);
	const jumps = links.map(({device}) => `"${device}" : jump ${device}`);
	const hook = 'type filter hook prerouting priority -300; policy accept;';
	const chains = [
		...links.flatMap(formatLink),
		formatChain('prerouting', [hook, ...(jumps.length > 0 ? [`iifname vmap { ${jumps.join(', ')} }`] : [])]),
	];
	return {family: 'bridge', name: 'domains', content: `${chains.join('\n')}\n`};
}
