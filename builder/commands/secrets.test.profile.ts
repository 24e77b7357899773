import {createHash} from 'node:crypto';
import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';

/** The plants, by where they may come: on the machine, into the steps that are planned for it, or nowhere but the build. */
export const plants = {machine: [] as string[], planned: [] as string[], build: [] as string[]};

/** The places of the schema that have a plant here: names of fields, `*` for what the profile names, `[]` for an item. */
export const planted = new Set<string>();

const all: string[] = [];

/** A secret that is found again wherever it comes. */
function plant(place: string, where: 'planned' | 'machine' | 'build'): string {
	const text = `Planted${String(all.length).padStart(3, '0')}x`;
	all.push(text);
	plants[where].push(text);
	if (where === 'planned') plants.machine.push(text);
	planted.add(place);
	return text;
}

/** The plants in a text. */
export const findPlanted = (text: string): string[] => all.filter(one => text.includes(one));

/** Fields whose text everybody may see, and why. */
export const shown: Readonly<Record<string, string>> = Object.fromEntries(
	(
		[
			[
				'a file of the workstation',
				'extends debian.archives.*.key debian.installerLock debian.lock kubernetes.binary.asset.file kubernetes.images.*.asset.file kubernetes.manifests.*.asset.file containers.users.*.images.*.asset.file containers.users.*.files.*.asset.file virtualization.domains.*.disks.[].from.asset.file',
			],
			[
				'a URL that the schema refuses with a password',
				'kubernetes.binary.asset.url kubernetes.images.*.asset.url kubernetes.manifests.*.asset.url kubernetes.server containers.users.*.images.*.asset.url containers.users.*.files.*.asset.url virtualization.domains.*.disks.[].from.asset.url',
			],
			['a name of the archive', 'debian.archives.*.suite debian.archives.*.components.[] debian.packages.[]'],
			[
				'what hardware says of itself',
				'install.disk.wwid install.disk.serial install.disk.model storage.disks.*.wwid storage.disks.*.serial storage.disks.*.model',
			],
			[
				'a name that the machine shows',
				'identity.hostname identity.timezone identity.locale identity.users.[].name identity.users.[].groups.[] virtualization.domains.*.seed.hostname virtualization.domains.*.seed.users.[].name virtualization.domains.*.seed.users.[].groups.[] kubernetes.cluster kubernetes.link kubernetes.nodeName',
			],
			['a public key', 'identity.users.[].sshKeys.[] virtualization.domains.*.seed.users.[].sshKeys.[]'],
			[
				'a name of the network',
				'network.management network.links.*.domains.[] network.links.*.ntp.[] network.bonds.*.links.[] network.bonds.*.domains.[] network.bonds.*.ntp.[] network.bridges.*.domains.[] network.bridges.*.ntp.[] network.vlans.*.link network.vlans.*.domains.[] network.vlans.*.ntp.[] firewall.zones.*.links.[] firewall.allow.*.from firewall.allow.*.to',
			],
			[
				'a name or option of storage, which mount(8) shows to all',
				'storage.arrays.*.members.[] storage.groups.*.members.[] storage.filesystems.*.on storage.filesystems.*.on.[] storage.filesystems.*.mount storage.filesystems.*.options.[] storage.filesystems.*.subvolumes.[] storage.pools.*.vdevs.[].members.[] storage.pools.*.datasets.*.mount',
			],
			['a kernel parameter, which /proc/sys shows to all', 'hardening.sysctl.*'],
			[
				'documented: not for secrets, which have a field of their own',
				'containers.users.*.files.* containers.users.*.units.*.*.* containers.users.*.units.*.*.*.[]',
			],
			[
				'a name of libvirt',
				'virtualization.pools.*.path virtualization.pools.*.volumeGroup virtualization.pools.*.dataset virtualization.networks.*.bridge virtualization.domains.*.disks.[].pool virtualization.domains.*.networks.[].network virtualization.domains.*.networks.[].group',
			],
		] as const
	).flatMap(([why, places]) => places.split(' ').map(place => [place, why])),
);

interface Node {
	properties?: Record<string, Node>;
	additionalProperties?: Node | boolean;
	items?: Node;
	anyOf?: Node[];
	type?: string;
	enum?: unknown[];
	const?: unknown;
	format?: string;
	pattern?: string;
}

/** Whether such a text may be a password. */
const samples = ['Planted-0123456789', 'planted-0123456789', 'planted0123', '/planted/0123456789'];

function canHold({type, enum: words, const: word, format, pattern}: Node): boolean {
	if (type !== 'string' || words !== undefined || word !== undefined) return false;
	return format === 'uri' || pattern === undefined || samples.some(text => new RegExp(pattern, 'u').test(text));
}

/** The places of a JSON Schema that can hold a secret: `{secret: …}`, text that is free, a URL, anything at all. */
export function listPlaces(schema: unknown, path: readonly string[] = []): string[] {
	const node = schema as Node;
	if (node.properties?.['secret']) return [`${path.join('.')} secret`];
	const own =
		Object.keys(node).filter(key => key !== 'description').length === 0 || canHold(node) ? [path.join('.')] : [];
	const {properties = {}, additionalProperties: rest, items, anyOf = []} = node;
	return [
		...new Set([
			...own,
			...anyOf.flatMap(one => listPlaces(one, path)),
			...Object.entries(properties).flatMap(([name, one]) => listPlaces(one, [...path, name])),
			...(typeof rest === 'object' ? listPlaces(rest, [...path, '*']) : []),
			...(items ? listPlaces(items, [...path, '[]']) : []),
		]),
	];
}

const key = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEgcppmhmnOuvEPs/uZFLWyxgq4z5jb03cyQg9Iyc7jY own';

const url = (place: string, rest: string) => `http://own:${plant(place, 'build')}@${rest}`;

const k3s = 'k3s\n';
export const k3sDigest = createHash('sha256').update(k3s).digest('hex');
const files = new Map<string, string>();

function makeProfile(): object {
	const secret = (place: string, where: 'planned' | 'machine', before = '') => {
		const file = `${files.size}.secret`;
		files.set(file, `${before}${plant(`${place} secret`, where)}`);
		return {secret: {file}};
	};
	const domain = 'virtualization.domains.*.seed';
	const user = {name: 'admin', sshKeys: [key]};
	return {
		schema: 1,
		debian: {
			mirror: url('debian.mirror', 'mirror.example/debian'),
			securityMirror: url('debian.securityMirror', 'mirror.example/debian-security'),
			archives: {own: {uri: url('debian.archives.*.uri', 'mirror.example/own'), suite: 'trixie', key: 'own.asc'}},
			snapshots: [url('debian.snapshots.[]', 'mirror.example/snapshot')],
			proxy: url('debian.proxy', 'proxy.example:3128'),
			components: ['main', 'contrib', 'non-free-firmware'],
			packages: ['linux-headers-amd64'],
		},
		install: {disk: {serial: 'S0EXAMPLE000001'}},
		identity: {
			hostname: 'node-1',
			users: [{...user, password: secret('identity.users.[].password', 'planned', '$6$salt$')}],
		},
		network: {links: {mgmt: {}}, bridges: {br0: {ports: {mgmt: {}}, addresses: 'dhcp'}}},
		storage: {
			disks: {left: {serial: 'LEFT'}},
			pools: {tank: {vdevs: [{type: 'disk', members: ['left']}]}},
			mok: {password: plant('storage.mok.password', 'machine')},
		},
		hardening: {},
		kubernetes: {
			role: 'server',
			cluster: 'planted',
			binary: {asset: {file: 'k3s', sha256: k3sDigest}},
			config: {
				'etcd-s3-secret-key': plant('kubernetes.config.*', 'planned'),
				'kube-apiserver-arg': [`token=${plant('kubernetes.config.*.[]', 'planned')}`],
			},
			registries: {
				configs: {
					'registry.example': {
						auth: {
							username: secret('kubernetes.registries.*', 'planned'),
							password: plant('kubernetes.registries.*', 'planned'),
						},
					},
				},
			},
			manifests: {'secret.yaml': `{apiVersion: v1, kind: Secret, data: ${plant('kubernetes.manifests.*', 'planned')}}`},
		},
		containers: {
			users: {apps: {uid: 2000, secrets: {database: secret('containers.users.*.secrets.*', 'planned')}}},
		},
		virtualization: {
			networks: {lan: {bridge: 'br0'}},
			domains: {
				guest: {
					cpus: 1,
					memory: '256M',
					disks: [{pool: 'images', size: '1G'}],
					networks: [{network: 'lan'}],
					seed: {
						users: [{...user, password: secret(`${domain}.users.[].password`, 'planned', '$6$salt$')}],
						files: {
							'/etc/text': plant(`${domain}.files.*`, 'planned'),
							'/etc/secret': secret(`${domain}.files.*`, 'planned'),
						},
						machine: {profile: plant(`${domain}.machine.*`, 'planned')},
					},
				},
			},
		},
	};
}

const profile = makeProfile();

/** Writes the profile and the files of its secrets into a folder; gives its path. */
export async function writePlanted(folder: string): Promise<string> {
	for (const [name, text] of files) await writeFile(join(folder, name), `${text}\n`);
	await writeFile(join(folder, 'own.asc'), 'key\n');
	await writeFile(join(folder, 'k3s'), k3s);
	const path = join(folder, 'planted.yaml');
	await writeFile(path, JSON.stringify(profile, undefined, 2));
	return path;
}
