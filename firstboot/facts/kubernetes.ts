import {isIPv6} from 'node:net';
import {type Kubernetes, listFamilies, ownOptions} from '../sequence.ts';
import type {FalseFact, Sections} from './fact.ts';
import {findZone, isOpen, type Opening} from './openings.ts';

/** As much of other sections as a node of a cluster depends on. Of an image the clones' seeds say what they join. */
export type Surroundings = Pick<Sections, 'firewall' | 'image' | 'network'>;

type Firewall = NonNullable<Sections['firewall']>;

const isSeveral = ({role, server, servers}: Kubernetes) => role === 'agent' || server !== undefined || servers > 1;

const findBackend = ({config}: Kubernetes) => String(config['flannel-backend'] ?? 'vxlan');

/** What nodes say to each other (docs.k3s.io, "Networking" of the requirements). */
function listNodePorts(kubernetes: Kubernetes): Omit<Opening, 'to'>[] {
	const {role, servers} = kubernetes;
	const backend = findBackend(kubernetes);
	return [
		...(backend === 'vxlan' ? [{protocol: 'udp', port: 8472} as const] : []),
		...(backend === 'wireguard-native' ? [{protocol: 'udp', port: 51820} as const] : []),
		{protocol: 'tcp', port: 10250},
		...(role === 'server' ? [{protocol: 'tcp', port: 6443} as const] : []),
		...(servers > 1 && role === 'server' ? [2379, 2380].map(port => ({protocol: 'tcp', port}) as const) : []),
	];
}

function checkNodes(kubernetes: Kubernetes, firewall: Firewall): FalseFact[] {
	const {link} = kubernetes;
	const zone = findZone(firewall, link);
	if (!isSeveral(kubernetes) || zone === undefined) return [];
	const shut = listNodePorts(kubernetes).filter(port => !isOpen(firewall, link, {...port, to: 'machine'}));
	const rules = (['udp', 'tcp'] as const).flatMap(protocol => {
		const ports = shut.filter(one => one.protocol === protocol).map(({port}) => port);
		if (ports.length === 0) return [];
		return [`nodes-${protocol}: {from: ${zone}, to: machine, protocol: ${protocol}, ports: [${ports.join(', ')}]}`];
	});
	if (rules.length === 0) return [];
	const names = shut.map(({protocol, port}) => `${port}/${protocol}`).join(', ');
	const message = `drops what the nodes of a cluster say to each other over ${link}: ${names}; add ${rules.join(' and ')}, each with sources: [the addresses of the nodes] where others are on ${link}`;
	return [{path: ['firewall', 'allow'], message}];
}

/** The links of pods by the names that flannel gives them; another network plugin has its own. */
function listPodLinks(kubernetes: Kubernetes): string[] {
	const backends: Record<string, string[]> = {vxlan: ['flannel.1'], 'wireguard-native': ['flannel-wg'], 'host-gw': []};
	const own = backends[findBackend(kubernetes)];
	return own ? ['cni0', ...own] : [];
}

function checkPods(kubernetes: Kubernetes, firewall: Firewall): FalseFact[] {
	const links = listPodLinks(kubernetes);
	const missing = links.filter(link => findZone(firewall, link) === undefined);
	if (missing.length > 0) {
		const message = `the firewall has no zone for the pods, and would drop what they send; add ${missing.join(' and ')} to a zone in firewall.zones`;
		return [{path: ['kubernetes'], message}];
	}
	// They ask the cluster's API by its service, which leads to a server: to this machine, or to another node.
	const zone = findZone(firewall, 'cni0') ?? '';
	const to = kubernetes.role === 'server' ? 'machine' : (findZone(firewall, kubernetes.link) ?? 'machine');
	if (links.length === 0 || isOpen(firewall, 'cni0', {to, protocol: 'tcp', port: 6443})) return [];
	const message = `pods could not ask the cluster's API; add pods-to-api: {from: ${zone}, to: ${to}, protocol: tcp, ports: [6443]}`;
	return [{path: ['firewall', 'allow'], message}];
}

function checkLink({link, config}: Kubernetes, network: Sections['network']): FalseFact[] {
	if (!network) return [];
	const all = Object.entries({...network.links, ...network.bonds, ...network.bridges, ...network.vlans});
	const found = all.find(([name]) => name === link)?.[1];
	const path = ['kubernetes', 'link'];
	const able = all.flatMap(([name, {addresses}]) => (addresses === undefined ? [] : [name])).join(', ');
	if (found?.addresses === undefined)
		return [
			{
				path,
				message: `${link} ${found ? 'has no addresses' : 'is no link'} in network; the node has the address of this link: name one of ${able}`,
			},
		];
	const {addresses} = found;
	if (typeof addresses === 'string' || addresses.some(cidr => !isIPv6(cidr.split('/')[0] ?? ''))) return [];
	if (!listFamilies(config['cluster-cidr']).includes('inet')) return [];
	return [{path, message: `${link} has IPv6 addresses alone, and cluster-cidr has IPv4; give ${link} an IPv4 address`}];
}

/** Services and pods are of the same families: K3s starts with nothing else. */
function checkFamilies({role, config}: Kubernetes): FalseFact[] {
	const [pods, services] = ['cluster-cidr', 'service-cidr'].map(name => listFamilies(config[name]));
	const faults: FalseFact[] = [];
	const add = (name: string, message: string) => faults.push({path: ['kubernetes', 'config', name], message});
	const twice = (families: readonly string[] = []) => new Set(families).size < families.length;
	if (twice(pods)) add('cluster-cidr', 'is one subnet, or one of IPv4 and one of IPv6');
	if (twice(services)) add('service-cidr', 'is one subnet, or one of IPv4 and one of IPv6');
	if (role === 'agent' || faults.length > 0 || (pods?.length ?? 0) + (services?.length ?? 0) === 0) return faults;
	const differ = [...(pods ?? [])].sort().join() !== [...(services ?? [])].sort().join();
	const example =
		pods?.length === 2 ? '10.43.0.0/16,fd00:43::/112' : pods?.includes('inet6') ? 'fd00:43::/112' : '10.43.0.0/16';
	// K3s takes the other one's default when it is of IPv4, as both defaults are.
	const isDefault = (families: readonly string[] | undefined) => families?.join() === 'inet';
	if (differ && !(pods?.length === 0 && isDefault(services)) && !(services?.length === 0 && isDefault(pods)))
		add(
			pods?.length === 0 ? 'service-cidr' : 'cluster-cidr',
			pods?.length === 0
				? 'needs a cluster-cidr of the same families beside it'
				: `needs a service-cidr of the same families beside it, such as ${example}`,
		);
	return faults;
}

/** What the schema of the section `kubernetes` cannot see. */
export function checkKubernetes(kubernetes: Kubernetes, {firewall, image, network}: Surroundings): FalseFact[] {
	const {role, server, servers, config, manifests} = kubernetes;
	const faults: FalseFact[] = [];
	const add = (path: FalseFact['path'], message: string) => faults.push({path: ['kubernetes', ...path], message});
	if (servers % 2 === 0)
		add(['servers'], `${servers} servers stand the loss of no more than ${servers - 1} do; give an odd number`);
	if (role === 'agent') {
		if (server === undefined && !image)
			add([], 'an agent joins a cluster; say where: server: https://192.0.2.11:6443, the address of its first server');
		if (Object.keys(manifests).length > 0)
			add(['manifests'], 'only a server applies manifests; move them to its profile');
	} else if (server !== undefined && servers === 1) {
		add(['servers'], 'a server that joins another makes more than one; say how many the whole cluster has, such as 3');
	}
	for (const name of Object.keys(config).filter(name => ownOptions.includes(name)))
		add(['config', name], `bringup sets ${name} itself, from the fields beside config; remove it`);
	return [
		...faults,
		...checkFamilies(kubernetes),
		...checkLink(kubernetes, network),
		...(firewall ? [...checkPods(kubernetes, firewall), ...checkNodes(kubernetes, firewall)] : []),
	];
}
