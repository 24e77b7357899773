import {own, splitCidr, subnetHolds} from '../sequence.ts';
import type {FalseFact, FieldPath, Sections} from './fact.ts';
import {checkAllRoutes, type Named} from './routes.ts';

type Network = NonNullable<Sections['network']>;

/** Whether an IPv4 address is its subnet's own or its broadcast address. */
function isReserved(cidr: string): boolean {
	const {address, prefix, family} = splitCidr(cidr);
	if (family === 'ipv6' || prefix > 30) return false;
	const number = address.split('.').reduce((sum, byte) => sum * 256 + Number(byte), 0);
	const host = number % 2 ** (32 - prefix);
	return host === 0 || host === 2 ** (32 - prefix) - 1;
}

function checkAddresses({link: {addresses, mtu}, path}: Named): FalseFact[] {
	const six = addresses === 'dhcpv6' || (typeof addresses === 'object' && addresses.some(cidr => cidr.includes(':')));
	const small = 'is less than the 1280 bytes that IPv6 needs (RFC 8200)';
	const faults: FalseFact[] = six && mtu !== undefined && mtu < 1280 ? [{path: [...path, 'mtu'], message: small}] : [];
	if (typeof addresses !== 'object') return faults;
	for (const [index, cidr] of addresses.entries()) {
		const at = [...path, 'addresses', index];
		const {address, prefix} = splitCidr(cidr);
		const other = addresses
			.slice(0, index)
			.find(earlier => subnetHolds(earlier, address, Math.min(splitCidr(earlier).prefix, prefix)));
		const reserved = `${cidr} is the address of the subnet itself or its broadcast address; give one between`;
		const overlap = `its subnet overlaps with that of ${other}; every address of a link needs a subnet of its own`;
		if (isReserved(cidr)) faults.push({path: at, message: reserved});
		if (other) faults.push({path: at, message: overlap});
	}
	return faults;
}

function listNamed({links, bonds, bridges, vlans}: Network): Named[] {
	return Object.entries({links, bonds, bridges, vlans}).flatMap(([kind, map]) =>
		Object.entries(map).map(([name, link]) => ({name, link, path: ['network', kind, name]})),
	);
}

/** Where each link is used as a part of another. */
function listUses({bonds, bridges}: Network): {name: string; path: FieldPath; allowed: 'links' | 'ports'}[] {
	return [
		...Object.entries(bonds).flatMap(([bond, {links}]) =>
			links.map((name, index) => ({name, path: ['network', 'bonds', bond, 'links', index], allowed: 'links' as const})),
		),
		...Object.entries(bridges).flatMap(([bridge, {ports}]) =>
			Object.keys(ports).map(name => ({
				name,
				path: ['network', 'bridges', bridge, 'ports', name],
				allowed: 'ports' as const,
			})),
		),
	];
}

function checkUses(network: Network): FalseFact[] {
	const uses = listUses(network);
	return uses.flatMap(({name, path, allowed}, index) => {
		const known = allowed === 'links' ? network.links : {...network.links, ...network.bonds};
		if (own(known, name) === undefined)
			return [{path, message: `there is no ${allowed === 'links' ? 'link' : 'link or bond'} ${name} in network`}];
		const earlier = uses.slice(0, index).find(use => use.name === name);
		if (earlier) return [{path, message: `${name} is part of ${earlier.path[2]} already`}];
		const used = own({...network.links, ...network.bonds}, name);
		return used?.addresses === undefined
			? []
			: [{path, message: `${name} has addresses of its own; the addresses go to the bridge or bond`}];
	});
}

function checkVlans({links, bonds, bridges, vlans}: Network): FalseFact[] {
	return Object.entries(vlans).flatMap(([name, {link, id, mtu}]) => {
		const path = ['network', 'vlans', name];
		const parent = own({...links, ...bonds, ...bridges}, link);
		if (!parent) return [{path: [...path, 'link'], message: `there is no link, bond or bridge ${link} in network`}];
		const twin = Object.entries(vlans).find(([other, vlan]) => other < name && vlan.link === link && vlan.id === id);
		const faults: FalseFact[] = twin
			? [{path: [...path, 'id'], message: `${twin[0]} is in VLAN ${id} of ${link} already`}]
			: [];
		if (mtu !== undefined && mtu > (parent.mtu ?? 1500))
			faults.push({path: [...path, 'mtu'], message: `is larger than that of ${link}; give ${link} an mtu of ${mtu}`});
		const ports = own(bridges, link)?.ports ?? {};
		const carried = Object.values(ports).some(({pvid, tagged}) => pvid === id || tagged.includes(id));
		if (Object.keys(ports).length > 0 && !carried)
			faults.push({path: [...path, 'id'], message: `no port of ${link} carries VLAN ${id}; add it to tagged of one`});
		if (id === 1 && own(bridges, link)) {
			const message = `VLAN 1 of ${link} is ${link} itself: its frames come without a tag. Give the addresses to ${link}`;
			faults.push({path: [...path, 'id'], message});
		}
		if (own(bridges, link)?.vlanAware === false)
			faults.push({path: [...path, 'link'], message: `${link} is not vlanAware, and a VLAN on it needs that`});
		return faults;
	});
}

/** Bytes that a link carries. */
const mtuOf = ({links, bonds}: Network, name: string) => (own(links, name) ?? own(bonds, name))?.mtu ?? 1500;

/** What the ports of bridges, and the links of bonds, cannot carry. */
function checkPorts(network: Network): FalseFact[] {
	const {links, bonds, bridges} = network;
	const faults: FalseFact[] = [];
	for (const [name, {ports, mtu}] of Object.entries(bridges)) {
		const path = ['network', 'bridges', name];
		for (const [port, {pvid, tagged}] of Object.entries(ports)) {
			const size = mtuOf(network, port);
			if (mtu !== undefined && mtu > size) {
				const message = `is larger than that of its port ${port}, ${size}: larger packets would be lost; give ${port} an mtu of ${mtu}`;
				faults.push({path: [...path, 'mtu'], message});
			}
			if (tagged.includes(pvid)) {
				const message = `${pvid} is the VLAN of untagged frames of this port too, and a VLAN is one or the other; set another pvid`;
				faults.push({path: [...path, 'ports', port, 'tagged'], message});
			}
		}
	}
	for (const [name, bond] of Object.entries(bonds))
		for (const link of bond.links) {
			const size = own(links, link)?.mtu;
			if (size === undefined || size === (bond.mtu ?? 1500)) continue;
			const message = `a link of a bond has the mtu of ${name}; give it to ${name}`;
			faults.push({path: ['network', 'links', link, 'mtu'], message});
		}
	return faults;
}

/** What is wrong with the section network as a whole. */
export function checkNetwork(network: Network): FalseFact[] {
	const named = listNamed(network);
	const twice = named.filter(({name}, index) => named.findIndex(other => other.name === name) < index);
	const free = Object.entries(network.links).filter(([, {mac, path}]) => mac === undefined && path === undefined);
	const management = named.find(({name}) => name === network.management);
	const part = listUses(network).find(({name}) => name === network.management);
	const faults: FalseFact[] = twice.map(({name, path}) => ({path, message: `the name ${name} is taken`}));
	if (!management)
		faults.push({path: ['network', 'management'], message: `there is no ${network.management} in network`});
	else if (part)
		faults.push({
			path: ['network', 'management'],
			message: `${network.management} is a part of ${part.path[2]}; name that`,
		});
	else if (management.link.addresses === undefined)
		faults.push({path: management.path, message: 'the machine is reached over it, and it has no addresses; dhcp?'});
	for (const [name, {ports, addresses}] of Object.entries(network.bridges)) {
		const all = Object.values(ports);
		if (addresses === undefined || all.length === 0 || all.some(({pvid, tagged}) => pvid === 1 || tagged.includes(1)))
			continue;
		const message = `${name} itself is in VLAN 1, and none of its ports carries that; leave pvid 1 to one, or give the addresses to a VLAN`;
		faults.push({path: ['network', 'bridges', name, 'addresses'], message});
	}
	for (const [name] of free.slice(1))
		faults.push({path: ['network', 'links', name], message: `give it a mac or path; ${free[0]?.[0]} has none either`});
	return [
		...faults,
		...checkUses(network),
		...checkVlans(network),
		...named.flatMap(checkAddresses),
		...checkAllRoutes(named),
		...checkPorts(network),
	];
}
