import {BlockList, isIPv6} from 'node:net';
import type {ProfileFields} from './schema.ts';
import type {FieldPath} from './source.ts';
import {checkVirtualization} from './virtualization-facts.ts';

/** Something that the schema cannot see: true of no machine. */
export interface FalseFact {
	path: FieldPath;
	message: string;
}

/** The sections whose shape is right. */
export type Sections = {[Name in keyof ProfileFields]?: ProfileFields[Name] | undefined};

/** What is wrong with a public key line of OpenSSH, or undefined. The inner length-prefixed type must be the outer one (RFC 4253, 6.6). */
export function findKeyFault(line: string): string | undefined {
	if (/[\r\n]/.test(line)) return 'a key is one line';
	if (line.includes('PRIVATE KEY')) return 'this is a private key; give the public one (.pub)';
	const [type = '', blob = ''] = line.trim().split(/\s+/);
	if (
		!/^(ssh-(ed25519|rsa)|ecdsa-sha2-nistp(256|384|521)|sk-(ssh-ed25519|ecdsa-sha2-nistp256)@openssh\.com)$/.test(type)
	) {
		return 'expected an OpenSSH public key: ssh-ed25519 AAAA… comment';
	}
	const bytes = Buffer.from(blob, 'base64');
	const length = bytes.length >= 4 ? bytes.readUInt32BE(0) : 0;
	if (
		bytes.toString('base64').replace(/=+$/, '') !== blob.replace(/=+$/, '') ||
		bytes.subarray(4, 4 + length).toString() !== type
	) {
		return 'the key is damaged; copy the whole line of the .pub file again';
	}
	return bytes.length < 4 + length + 4 + 32
		? 'the key is cut short; copy the whole line of the .pub file again'
		: undefined;
}

function checkUsers({users}: ProfileFields['identity']): FalseFact[] {
	return users.flatMap(({name, sshKeys, password}, index) => {
		const path = ['identity', 'users', index] as const;
		const faults: FalseFact[] = [];
		if (users.findIndex(user => user.name === name) < index)
			faults.push({path: [...path, 'name'], message: `the user ${name} is here twice`});
		if (name === 'root' && password)
			faults.push({path: [...path, 'password'], message: 'root has no password; name an ordinary user'});
		if (sshKeys === 'auto') return faults;
		const keys = sshKeys.map(
			(key, at): FalseFact => ({path: [...path, 'sshKeys', at], message: findKeyFault(key) ?? ''}),
		);
		return [...faults, ...keys.filter(({message}) => message !== '')];
	});
}

function splitCidr(cidr: string): {address: string; prefix: number; family: 'ipv4' | 'ipv6'} {
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

/** Whether an IPv4 address is its subnet's own or its broadcast address. */
function isReserved(cidr: string): boolean {
	const {address, prefix, family} = splitCidr(cidr);
	if (family === 'ipv6' || prefix > 30) return false;
	const number = address.split('.').reduce((sum, byte) => sum * 256 + Number(byte), 0);
	const host = number % 2 ** (32 - prefix);
	return host === 0 || host === 2 ** (32 - prefix) - 1;
}

function checkNetwork({management, bridge}: NonNullable<ProfileFields['network']>): FalseFact[] {
	const path = ['network', 'bridge'] as const;
	const faults: FalseFact[] = [];
	if (management.name === bridge.name)
		faults.push({path: [...path, 'name'], message: 'the bridge and the management link cannot share a name'});
	if (bridge.addresses === 'dhcp') {
		if (bridge.gateway)
			faults.push({
				path: [...path, 'gateway'],
				message: 'with dhcp the gateway comes from the lease; remove it, or give static addresses',
			});
		return faults;
	}
	const {addresses, gateway} = bridge;
	addresses.forEach((cidr, index) => {
		const at = [...path, 'addresses', index];
		if (isReserved(cidr))
			faults.push({
				path: at,
				message: `${cidr} is the address of the subnet itself or its broadcast address; give one between`,
			});
		const other = addresses.slice(0, index).find(earlier => {
			return subnetHolds(earlier, splitCidr(cidr).address, Math.min(splitCidr(earlier).prefix, splitCidr(cidr).prefix));
		});
		if (other)
			faults.push({
				path: at,
				message: `its subnet overlaps with that of ${other}; every address of a link needs a subnet of its own`,
			});
	});
	if (gateway && !addresses.some(cidr => subnetHolds(cidr, gateway))) {
		faults.push({path: [...path, 'gateway'], message: `lies in no subnet of ${addresses.join(', ')}`});
	}
	return faults;
}

/** Every fact that can be checked without asking anything outside the profile. */
export function checkFacts({debian, machine, identity, network, virtualization}: Sections): FalseFact[] {
	const faults: FalseFact[] = [];
	if (debian && machine && machine.microcode.length > 0 && !debian.components.includes('non-free-firmware')) {
		const message =
			'microcode is in the component non-free-firmware; add it to debian.components, or set machine.microcode: []';
		faults.push({path: ['machine', 'microcode'], message});
	}
	if (identity) faults.push(...checkUsers(identity));
	if (network) faults.push(...checkNetwork(network));
	if (virtualization) faults.push(...checkVirtualization(virtualization, {debian, machine}));
	return faults;
}
