import {checkClusters} from './cluster-facts.ts';
import {checkContainers} from './containers-facts.ts';
import {checkFirewall} from './firewall-facts.ts';
import {checkHardening} from './hardening-facts.ts';
import {checkImage} from './image-facts.ts';
import {checkKubernetes} from './kubernetes-facts.ts';
import {checkNetwork} from './network-facts.ts';
import type {ProfileFields} from './schema.ts';
import type {FieldPath} from './source.ts';
import {checkStorage} from './storage-facts.ts';
import {checkVirtualization} from './virtualization-facts.ts';
import {checkPools} from './zfs-facts.ts';

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

/** Every fact that can be checked without asking anything outside the profile. */
export function checkFacts(sections: Sections): FalseFact[] {
	const {debian, machine, identity, network, firewall, storage, virtualization, kubernetes, image} = sections;
	const faults: FalseFact[] = [];
	if (debian && machine && machine.microcode.length > 0 && !debian.components.includes('non-free-firmware')) {
		const message =
			'microcode is in the component non-free-firmware; add it to debian.components, or set machine.microcode: []';
		faults.push({path: ['machine', 'microcode'], message});
	}
	if (debian?.lock !== undefined && sections.install?.method === 'debian-installer')
		faults.push({
			path: ['debian', 'lock'],
			message: 'is for method: image; debian-installer is pinned by debian.installerLock',
		});
	if (debian?.lock !== undefined && debian.mirror === undefined)
		faults.push({
			path: ['debian', 'lock'],
			message:
				"pins the medium to the byte, and the machine's apt sources are on it; say debian.mirror, which else is this workstation's",
		});
	if (identity) faults.push(...checkUsers(identity));
	if (network) faults.push(...checkNetwork(network));
	if (firewall) faults.push(...checkFirewall(firewall, network));
	faults.push(...checkContainers(sections));
	if (storage) faults.push(...checkStorage(storage), ...checkPools(storage, {debian, machine}));
	if (kubernetes) faults.push(...checkKubernetes(kubernetes, {firewall, image}));
	faults.push(...checkHardening(sections));
	faults.push(...checkImage(sections));
	if (virtualization) faults.push(...checkVirtualization(virtualization, {debian, machine, storage}));
	faults.push(...checkClusters(sections));
	return faults;
}
