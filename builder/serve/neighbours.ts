import {readFile} from 'node:fs/promises';

/** The MAC address of each IPv4 address of a link, as the kernel knows it from the wire (proc(5), /proc/net/arp). */
export function parseNeighbours(text: string, link: string): Map<string, string> {
	const rows = text.split('\n').map(line => line.trim().split(/\s+/));
	const found = rows.filter(([, , flags = '', , , device]) => device === link && (Number(flags) & 2) !== 0);
	return new Map(found.map(([address = '', , , mac = '']) => [address, mac.toLowerCase()]));
}

/** The network card that an address of a link belongs to; undefined for this workstation and for what lies behind a router. */
export async function findMac(address: string, link: string): Promise<string | undefined> {
	return parseNeighbours(await readFile('/proc/net/arp', 'utf8'), link).get(address);
}
