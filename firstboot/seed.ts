import {isIPv6} from 'node:net';
import {digestOf, type PlacedDomain, type PlacedLink} from './virtualization.ts';

/** A cloud-init NoCloud seed. */
export interface Seed {
	/** Made from the content: another content is another instance to cloud-init. */
	instanceId: string;
	/** By the names that NoCloud looks for at the root of a volume with the label CIDATA. */
	files: Readonly<Record<'user-data' | 'meta-data' | 'network-config', string>>;
}

type User = NonNullable<PlacedDomain['seed']>['users'][number];

function renderUser({name, sshKeys, sudo, groups}: User, hash: string | undefined): object {
	if (sshKeys === 'auto')
		throw new Error(`the keys of ${name} in a seed were not put in by the build; build the medium again`);
	return {
		name,
		shell: '/bin/bash',
		ssh_authorized_keys: sshKeys,
		...(groups.length > 0 ? {groups} : {}),
		...(sudo ? {sudo: 'ALL=(ALL) NOPASSWD:ALL'} : {}),
		...(hash === undefined ? {lock_passwd: true} : {lock_passwd: false, passwd: hash}),
	};
}

function renderLink({mac, addresses, gateway, dns}: PlacedLink, name: string): object {
	const nameservers = dns.length > 0 ? {nameservers: {addresses: dns}} : {};
	const common = {match: {macaddress: mac}, 'set-name': name, ...nameservers};
	if (addresses.length === 0) return {...common, dhcp4: true, 'dhcp-identifier': 'mac'};
	const to = gateway && isIPv6(gateway) ? '::/0' : '0.0.0.0/0';
	return {...common, dhcp4: false, addresses, ...(gateway ? {routes: [{to, via: gateway}]} : {})};
}

/** The seed of a domain; `hashes` holds the password hashes by user. JSON is YAML, so cloud-init reads it. */
export function renderSeed(
	domain: Pick<PlacedDomain, 'name' | 'seed' | 'links'>,
	hashes: ReadonlyMap<string, string>,
): Seed | undefined {
	const {seed, links, name} = domain;
	if (!seed) return undefined;
	const users = seed.users.map(user => renderUser(user, hashes.get(user.name)));
	const user = {users, disable_root: true, ssh_pwauth: false, package_update: false};
	const ethernets = Object.fromEntries(links.map((link, index) => [`net${index}`, renderLink(link, `net${index}`)]));
	const files = {
		'user-data': `#cloud-config\n${JSON.stringify(user, undefined, 2)}\n`,
		'network-config': `${JSON.stringify({version: 2, ethernets}, undefined, 2)}\n`,
	};
	const hostname = seed.hostname ?? name;
	const instanceId = `${name}-${digestOf(hostname, files['user-data'], files['network-config']).slice(0, 12)}`;
	const meta = {'instance-id': instanceId, 'local-hostname': hostname};
	return {instanceId, files: {...files, 'meta-data': `${JSON.stringify(meta, undefined, 2)}\n`}};
}
