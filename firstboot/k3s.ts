import {createHash} from 'node:crypto';
import {isIPv6} from 'node:net';
import * as z from 'zod';
import {type Asset, asset, url} from './assets.ts';
import {linkName} from './links.ts';

/** Where K3s keeps all that it has. */
export const dataFolder = '/var/lib/rancher/k3s';

/** The program, also under the names kubectl, crictl and ctr. */
export const k3sPath = '/usr/local/bin/k3s';

/** What the builder gives a machine of its cluster: tokens and, on the first server, the authorities. */
export const clusterSecrets = '/etc/bringup/secrets/kubernetes';

/** The digest of what K3s shall be started with; `bringup start-k3s` says what it was started with. */
export const digestPath = '/etc/bringup/k3s.digest';
export const startedPath = '/run/bringup/k3s.digest';

/** The authorities of a cluster as K3s takes them in `server/tls` (docs.k3s.io, "Using Custom CA Certificates"). */
export const authorityFiles = [
	...['server', 'client', 'request-header', 'etcd/peer', 'etcd/server'].flatMap(name => [
		`${name}-ca.crt`,
		`${name}-ca.key`,
	]),
	'service.key',
];

const label = '[a-z0-9]([a-z0-9-]*[a-z0-9])?';

/** Options that bringup sets, or whose change would take K3s from where bringup looks for it. */
export const ownOptions = [
	...['token', 'token-file', 'agent-token', 'agent-token-file', 'server', 'cluster-init', 'cluster-reset'],
	...['node-ip', 'advertise-address', 'flannel-iface', 'node-name', 'with-node-id', 'resolv-conf'],
	...['config', 'data-dir', 'private-registry', 'disable-agent', 'rootless', 'docker', 'container-runtime-endpoint'],
];

/** The section `kubernetes`. */
export const kubernetesSchema = z
	.strictObject({
		role: z.enum(['server', 'agent']).describe('`server`: control plane and work; `agent`: work alone'),
		cluster: z
			.string()
			.regex(/^[a-z0-9][a-z0-9-]{0,39}$/, 'expected a name of lower case letters, digits and -, 40 characters at most')
			.optional()
			.describe(
				'name of the cluster; its authorities and tokens are made once and kept on the workstation, in ~/.local/share/bringup/clusters (`bringup cluster export` makes a copy). Without it, a first server makes its own, as each machine of a medium for many does; a golden image names none, its clones join by their seeds',
			),
		version: z
			.string()
			.regex(/^v\d+\.\d+\.\d+\S*$/, 'expected a release of K3s such as v1.33.4+k3s1')
			.optional()
			.describe('release of K3s such as v1.33.4+k3s1; a binary that says otherwise is not started'),
		binary: asset.describe('the K3s binary'),
		images: z
			.record(
				z
					.string()
					.regex(
						/^\w[\w.-]*(\.tar|\.tar\.(lz4|bz2|gz|zst)|\.tbz|\.tgz|\.tzst)$/,
						'expected a file name with an ending that K3s knows, such as k3s-airgap-images-amd64.tar.zst',
					),
				asset,
			)
			.default({})
			.describe('archives of images that need no registry, by the file name that K3s sees'),
		server: url('https')
			.optional()
			.describe(
				'a server to join, such as https://192.0.2.11:6443; an agent needs one, the first server has none. When the first of several servers is installed anew, build its medium with the address of another: without it, it would begin a second, empty cluster',
			),
		servers: z.int().min(1).default(1).describe('servers of the whole cluster: 1, or an odd number that share etcd'),
		link: linkName.default('br0').describe('the link whose address the node has'),
		nodeName: z
			.string()
			.regex(new RegExp(`^${label}(\\.${label})*$`), 'expected a node name: lower case letters, digits, - and .')
			.optional()
			.describe('name of the node; without it, the host name'),
		config: z
			.record(
				z.string().regex(/^[a-z0-9][a-z0-9-]*$/, 'expected an option of K3s such as disable'),
				z.union([z.string(), z.number(), z.boolean(), z.array(z.string())]),
			)
			.default({})
			.describe(
				'further options of K3s, into config.yaml as they are. A `cluster-cidr` of IPv4 and IPv6 gives the node an address of each, the first one first; say it on agents of such a cluster too',
			),
		registries: z
			.record(z.string(), z.unknown())
			.optional()
			.describe('registries.yaml as K3s takes it; any value may be a `{secret: …}`'),
		manifests: z
			.record(
				z.string().regex(/^\w[\w.-]*\.(yaml|yml|json)$/, 'expected a file name such as metallb.yaml'),
				z.union([z.string().min(1), asset]),
			)
			.default({})
			.describe(
				'manifests that a server applies by itself: text or `{asset: …}`, by file name. One that leaves the profile is applied no more; what it made in the cluster stays, as it may hold data: kubectl delete',
			),
	})
	.describe('A node of a K3s cluster.');

export type Kubernetes = z.output<typeof kubernetesSchema>;

/** As much of the section as tells what a node is to its cluster. */
export const memberSchema = kubernetesSchema
	.pick({role: true, cluster: true, server: true, nodeName: true})
	.required({cluster: true})
	.strip();

export type Member = Pick<Kubernetes, 'role' | 'server' | 'nodeName'> & {cluster: string};

/** What K3s knows a node by. */
export const nodePasswordPath = '/etc/rancher/node/password';

/** What a node gets of its cluster: by the path on the node, the file in the cluster's folder on the workstation that it comes from. */
export function listClusterFiles({role, server, nodeName}: Member, hostname: string): ReadonlyMap<string, string> {
	const tokens = role === 'server' ? ['agent-token', 'token'] : ['agent-token'];
	const authorities = role === 'server' && server === undefined ? authorityFiles : [];
	const isNameKnown = !(nodeName ?? hostname).includes('{');
	return new Map([
		...tokens.map(name => [`${clusterSecrets}/${name}`, name] as const),
		...authorities.map(name => [`${clusterSecrets}/tls/${name}`, name] as const),
		...(isNameKnown ? [[nodePasswordPath, 'node-key'] as const] : []),
	]);
}

/** Whether it is known what the node is to start as: an agent of an image learns from its clone's seed which server it joins. */
export function isPlaced({role, server}: Kubernetes): boolean {
	return role === 'server' || server !== undefined;
}

/** A family of addresses, as ip(8) calls it. */
export type Family = 'inet' | 'inet6';

/** The families of the subnets in an option of K3s, in its order. */
export function listFamilies(option: Kubernetes['config'][string] | undefined): Family[] {
	const subnets = [option ?? []].flat().flatMap(text => String(text).split(','));
	return subnets.map(subnet => (isIPv6(subnet.trim().split('/')[0] ?? '') ? 'inet6' : 'inet'));
}

/** The systemd unit, by K3s's own convention. */
export function unitOf({role}: Pick<Kubernetes, 'role'>): string {
	return role === 'server' ? 'k3s.service' : 'k3s-agent.service';
}

/** The files that the profile brings and no package has. */
export function listAssets({binary, images, manifests}: Kubernetes): Asset[] {
	const files = Object.values(manifests).filter(manifest => typeof manifest !== 'string');
	return [binary, ...Object.values(images), ...files];
}

/** The unit as K3s's installer writes it, and `bringup start-k3s` before each start. */
export function formatUnit(config: Kubernetes): string {
	const unit = unitOf(config);
	return `[Unit]
Description=Lightweight Kubernetes
Documentation=https://k3s.io
Wants=network-online.target
After=network-online.target

[Service]
Type=notify
EnvironmentFile=-/etc/default/%N
EnvironmentFile=-/etc/systemd/system/${unit}.env
KillMode=process
Delegate=yes
User=root
LimitNOFILE=1048576
LimitNPROC=infinity
LimitCORE=infinity
TasksMax=infinity
TimeoutStartSec=0
Restart=always
RestartSec=5s
ExecStartPre=-/usr/sbin/modprobe br_netfilter
ExecStartPre=-/usr/sbin/modprobe overlay
ExecStartPre=/usr/bin/bringup start-k3s
ExecStart=${k3sPath} ${config.role}

[Install]
WantedBy=multi-user.target
`;
}

/** Block keys with flow values: JSON, which is YAML too. */
export function formatOptions(options: Readonly<Record<string, unknown>>): string {
	const lines = Object.entries(options).map(([name, value]) => `${name}: ${JSON.stringify(value)}\n`);
	return lines.join('');
}

/**
 * config.yaml. Tokens stay in files of their own, so that this file can be shown; what depends on the moment of the
 * start, the node's address, is in a file beside it. Name servers for pods are those behind the stub of systemd-resolved.
 */
export function formatConfig(config: Kubernetes, resolved: boolean): string {
	const {role, server, servers, link, nodeName, cluster} = config;
	const first = role === 'server' && server === undefined;
	const {'cluster-cidr': _, 'service-cidr': __, ...ofAgent} = config.config;
	const agentToken = `${clusterSecrets}/agent-token`;
	const tokens =
		role === 'agent'
			? {'token-file': agentToken}
			: {'token-file': `${clusterSecrets}/token`, 'agent-token-file': agentToken};
	return formatOptions({
		...(cluster === undefined ? {} : tokens), // without a cluster of the profile's, K3s makes its own
		...(server === undefined ? {} : {server}),
		...(first && servers > 1 ? {'cluster-init': true} : {}),
		...(nodeName === undefined ? {} : {'node-name': nodeName}),
		'flannel-iface': link,
		...(resolved ? {'resolv-conf': '/run/systemd/resolve/resolv.conf'} : {}),
		...(role === 'agent' ? ofAgent : config.config), // the subnets are the servers' to say
	});
}

/** One number for all that a start of K3s depends on. */
export function digestStart(config: Kubernetes, texts: readonly (string | undefined)[]): string {
	const images = Object.entries(config.images).map(([name, {asset}]) => [name, asset.sha256]);
	const parts = JSON.stringify([config.binary.asset.sha256, images, texts]);
	return createHash('sha256').update(parts).digest('hex');
}
