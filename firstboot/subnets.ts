import {BlockList, isIPv6} from 'node:net';

/** The parts of a CIDR. */
export function splitCidr(cidr: string): {address: string; prefix: number; family: 'ipv4' | 'ipv6'} {
	const [address = '', prefix] = cidr.split('/');
	return {address, prefix: Number(prefix), family: isIPv6(address) ? 'ipv6' : 'ipv4'};
}

/** Whether the subnet of a CIDR holds the address. */
export function subnetHolds(cidr: string, address: string, prefix = splitCidr(cidr).prefix): boolean {
	const subnet = splitCidr(cidr);
	if (subnet.family !== (isIPv6(address) ? 'ipv6' : 'ipv4')) return false;
	const list = new BlockList();
	list.addSubnet(subnet.address, prefix, subnet.family);
	return list.check(address, subnet.family);
}
