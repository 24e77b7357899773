import {isIPv6} from 'node:net';
import {clonePath} from './golden.ts';
import {listClusterFiles, type Member, memberSchema} from './k3s.ts';
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

/** The clone as a node of a cluster, and its name; undefined where what its seed lays over the image's profile names no cluster. */
export function findNode(domain: string, {machine, hostname}: Given): {member: Member; hostname: string} | undefined {
	const {success, data} = memberSchema.safeParse(machine?.['kubernetes']);
	return success ? {member: data, hostname: hostname ?? domain} : undefined;
}

/** Where the machine keeps the content of a domain's file that is not in the profile. */
export const placeForDomain = (domain: string, path: string) => `/etc/bringup/secrets/domains/${domain}${path}`;

/** By their paths on the clone, what bringup brings of its cluster, by the paths on the machine. */
function listBrought(domain: string, given: Given): Map<string, string> {
	const node = findNode(domain, given);
	const paths = node ? [...listClusterFiles(node.member, node.hostname).keys()] : [];
	return new Map(paths.map(path => [path, placeForDomain(domain, path)]));
}

/** What of a seed is kept out of the profile: what it is, and its path on the machine. */
export function listSeedSecrets(domain: string, given: Given): {at: string; path: string}[] {
	const {users, files} = given;
	const passwords = users.flatMap(({name, password}) => {
		return password ? [{at: `the password hash of ${name}`, path: secretPath(password)}] : [];
	});
	const contents = Object.entries(files).flatMap(([path, value]) => {
		return isSecret(value) ? [{at: `the content of ${path}`, path: secretPath(value)}] : [];
	});
	const brought = [...listBrought(domain, given)].map(([path, place]) => ({at: `the content of ${path}`, path: place}));
	return [...passwords, ...contents, ...brought];
}

function renderFiles(domain: string, given: Given, secrets: ReadonlyMap<string, string>): object[] {
	const {files, machine} = given;
	const read = (path: string, place: string) => {
		const content = secrets.get(place);
		if (content === undefined) throw new Error(`the content of ${path} in a seed is missing`);
		return `${content}\n`;
	};
	const all = new Map([...listBrought(domain, given)].map(([path, place]) => [path, read(path, place)]));
	for (const [path, value] of Object.entries(files))
		all.set(path, isSecret(value) ? read(path, secretPath(value)) : value);
	if (machine) all.set(clonePath, `${JSON.stringify(machine, undefined, 2)}\n`);
	return [...all].map(([path, content]) => ({path, content, owner: 'root:root', permissions: '0600'}));
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
	const written = renderFiles(name, seed, secrets);
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
