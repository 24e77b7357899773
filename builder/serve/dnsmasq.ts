import {isIPv4} from 'node:net';
import {run, UsageError, UserError} from '../run.ts';

/** An IPv4 address of this workstation, and its subnet. */
export interface Place {
	address: string;
	netmask: string;
	network: string;
}

interface Link {
	ifname: string;
	addr_info: {family: string; local: string; prefixlen: number}[];
}

const parse = (address: string) => address.split('.').reduce((sum, part) => ((sum << 8) | Number(part)) >>> 0, 0);

const format = (bits: number) => [24, 16, 8, 0].map(shift => (bits >>> shift) & 255).join('.');

/** The address of a link, with a cable or without. Throws a UserError that names those that there are. */
export async function findPlace(link: string): Promise<Place> {
	const all = JSON.parse(await run(['ip', '-json', 'address', 'show'])) as Link[];
	const addresses = all.flatMap(({ifname, addr_info}) => {
		const own = addr_info.find(({family}) => family === 'inet');
		return own ? [{ifname, ...own}] : [];
	});
	const found = addresses.find(({ifname}) => ifname === link);
	if (!found) {
		const there = addresses.filter(({ifname}) => ifname !== 'lo').map(({ifname, local}) => `${ifname} (${local})`);
		throw new UserError(
			`the link ${link} has no IPv4 address on this workstation; say --interface with one of: ${there.join(', ') || 'none has any'}`,
		);
	}
	const mask = found.prefixlen === 0 ? 0 : (-1 << (32 - found.prefixlen)) >>> 0;
	return {address: found.local, netmask: format(mask), network: format((parse(found.local) & mask) >>> 0)};
}

/** The first and the last address to give. Throws a UsageError where they are no addresses, or the wrong way round. */
export function parseLeases(text: string): readonly [string, string] {
	const [first = '', last = '', more] = text.split(',');
	if (more !== undefined || !isIPv4(first) || !isIPv4(last))
		throw new UsageError(
			`--lease-range is two IPv4 addresses, FIRST,LAST, such as 192.0.2.100,192.0.2.150; not ${text}`,
		);
	if (parse(first) > parse(last)) throw new UsageError(`--lease-range: ${first} comes after ${last}`);
	return [first, last];
}

/** Throws a UsageError where addresses cannot be given on the link: outside its subnet, or taken by this workstation, the network or its broadcast. */
export function checkLeases([first, last]: readonly [string, string], {address, netmask, network}: Place): void {
	const [low, high, from] = [parse(first), parse(last), parse(network)];
	const to = (from | ~parse(netmask)) >>> 0;
	const range = `--lease-range ${first},${last}`;
	if (low <= from || high >= to)
		throw new UsageError(`${range} is not within the subnet of the link, ${format(from + 1)} to ${format(to - 1)}`);
	if (low <= parse(address) && parse(address) <= high)
		throw new UsageError(`${range} holds ${address}, which is the address of this workstation`);
}

export interface DnsmasqOptions {
	link: string;
	place: Place;
	/** Of the HTTP server. */
	port: number;
	/** The folder that TFTP gives. */
	root: string;
	/** First and last address of leases; without them the DHCP server that is there gives them, and this one only adds what to boot. */
	leases?: readonly [string, string] | undefined;
	leaseFile: string;
}

/** The configuration of dnsmasq: TFTP and DHCP on one link, nothing else (dnsmasq(8); client architectures: RFC 4578, and 16 for UEFI HTTP Boot). */
export function formatDnsmasq({link, place, port, root, leases, leaseFile}: DnsmasqOptions): string {
	const url = `http://${place.address}:${port}/bootx64.efi`;
	const {address, network, netmask} = place;
	return [
		'port=0',
		`interface=${link}`,
		'bind-dynamic',
		'no-hosts',
		'no-resolv',
		'log-dhcp',
		'pid-file',
		'enable-tftp',
		`tftp-root=${root}`,
		'tftp-no-fail',
		`dhcp-leasefile=${leaseFile}`,
		leases ? `dhcp-range=${leases.join(',')},${netmask},1h` : `dhcp-range=${network},proxy,${netmask}`,
		...(leases ? ['dhcp-authoritative'] : []),
		'dhcp-match=set:bios,option:client-arch,0',
		'dhcp-match=set:efi,option:client-arch,7',
		'dhcp-match=set:efi,option:client-arch,9',
		'dhcp-match=set:http,option:client-arch,16',
		...(leases
			? [`dhcp-boot=tag:bios,bringup.pxe,,${address}`, `dhcp-boot=tag:efi,bootx64.efi,,${address}`]
			: [
					'pxe-service=x86PC,"bringup",bringup.pxe',
					'pxe-service=X86-64_EFI,"bringup",bootx64.efi',
					'pxe-service=BC_EFI,"bringup",bootx64.efi',
				]),
		'dhcp-option-force=tag:http,60,HTTPClient',
		`dhcp-boot=tag:http,${url}`,
		'',
	].join('\n');
}
