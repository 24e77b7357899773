import {isIPv6} from 'node:net';

/** The parts of a CIDR. */
export function splitCidr(cidr: string): {address: string; prefix: number; family: 'ipv4' | 'ipv6'} {
	const [address = '', prefix] = cidr.split('/');
	return {address, prefix: Number(prefix), family: isIPv6(address) ? 'ipv6' : 'ipv4'};
}

/** The bits of an address, 32 or 128. */
export function toBits(address: string): bigint {
	if (!isIPv6(address)) return address.split('.').reduce((bits, part) => bits * 256n + BigInt(part), 0n);
	const plain = new URL(`http://[${address.replace(/%.*/, '')}]/`).hostname.slice(1, -1); // without dots
	const [head = [], tail = []] = plain.split('::').map(half => half.split(':').filter(Boolean));
	const parts = [...head, ...Array<string>(8 - head.length - tail.length).fill('0'), ...tail];
	return parts.reduce((bits, part) => bits * 65536n + BigInt(`0x${part}`), 0n);
}

/** Whether the subnet of a CIDR holds the address. Not by net.BlockList, which no snapshot of Node.js can keep. */
export function subnetHolds(cidr: string, address: string, prefix = splitCidr(cidr).prefix): boolean {
	const subnet = splitCidr(cidr);
	if (subnet.family !== (isIPv6(address) ? 'ipv6' : 'ipv4')) return false;
	const rest = BigInt((subnet.family === 'ipv6' ? 128 : 32) - prefix);
	return toBits(subnet.address) >> rest === toBits(address) >> rest;
}
