import {isIPv6} from 'node:net';
import {clonePath} from './golden.ts';
import {type Secret, secretPath} from './phase.ts';
import {digestOf, type PlacedDomain, type PlacedLink} from './virtualization.ts';

/** A cloud-init NoCloud seed. */
export interface Seed {
	/** Made from the content: another content is another instance to cloud-init. */
	instanceId: string;
	/** By the names that NoCloud looks for at the root of a volume with the label CIDATA. */
	files: Readonly<Record<'user-data' | 'meta-data' | 'network-config', string>>;
}

type Given = NonNullable<PlacedDomain['seed']>;
type User = Given['users'][number];

const isSecret = (value: string | Secret): value is Secret => typeof value !== 'string';

/** What of a seed is kept out of the profile, with its place. */
export function listSeedSecrets({users, files}: Given): {at: string; secret: Secret}[] {
	const passwords = users.flatMap(({name, password}) => {
		return password ? [{at: `the password hash of ${name}`, secret: password}] : [];
	});
	const contents = Object.entries(files).flatMap(([path, value]) => {
		return isSecret(value) ? [{at: `the content of ${path}`, secret: value}] : [];
	});
	return [...passwords, ...contents];
}

function renderFiles({files, machine}: Given, secrets: ReadonlyMap<string, string>): object[] {
	const all = Object.entries(files).map(([path, value]): [string, string] => {
		const content = isSecret(value) ? secrets.get(secretPath(value)) : value;
		if (content === undefined) throw new Error(`the content of ${path} in a seed is missing`);
		return [path, isSecret(value) ? `${content}\n` : content];
	});
	if (machine) all.push([clonePath, `${JSON.stringify(machine, undefined, 2)}\n`]);
	return all.map(([path, content]) => ({path, content, owner: 'root:root', permissions: '0600'}));
}

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

/** The seed of a domain; `secrets` holds the values of its secrets by secretPath. JSON is YAML, so cloud-init reads it. */
export function renderSeed(
	domain: Pick<PlacedDomain, 'name' | 'seed' | 'links'>,
	secrets: ReadonlyMap<string, string>,
): Seed | undefined {
	const {seed, links, name} = domain;
	if (!seed) return undefined;
	const users = seed.users.map(user => renderUser(user, user.password && secrets.get(secretPath(user.password))));
	const written = renderFiles(seed, secrets);
	const write = written.length > 0 ? {write_files: written} : {};
	const user = {users, disable_root: true, ssh_pwauth: false, package_update: false, ...write};
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
