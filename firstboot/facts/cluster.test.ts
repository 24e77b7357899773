import test from 'ava';
import {kubernetesSchema, sections} from '../sequence.ts';
import {checkClusters} from './cluster.ts';

const server = 'https://192.0.2.11:6443';

/** What is said of domains with these seeds, on a machine of this name and with this section. */
function faultsOf(
	seeds: Record<string, object>,
	{hostname = 'lab', own}: {hostname?: string; own?: object} = {},
): string {
	const domain = {cpus: 1, memory: '1G', disks: [{pool: 'images', size: '1G'}]};
	const users = [{name: 'admin', sshKeys: 'auto'}];
	const domains = Object.entries(seeds).map(([name, kubernetes]) => [
		name,
		{...domain, seed: {users, machine: {kubernetes}}},
	]);
	const kubernetes = own && kubernetesSchema.parse({binary: {asset: {file: 'k3s'}}, ...own});
	const virtualization = sections.virtualization.parse({domains: Object.fromEntries(domains)});
	const faults = checkClusters({identity: {hostname} as never, virtualization, kubernetes});
	return faults.map(({path, message}) => `${path.join('.')}: ${message}`).join('\n');
}

const first = {role: 'server', cluster: 'home'};
const agent = {role: 'agent', cluster: 'home', server};

const table: [title: string, faults: string, expected: RegExp][] = [
	['a server and two agents', faultsOf({one: first, two: agent, three: agent}), /^$/],
	['what is not about its cluster', faultsOf({one: {config: {disable: null}}, two: {link: null}}), /^$/],
	['a part of what the image has', faultsOf({one: {binary: {asset: {sha256: 'a'.repeat(64)}}}}), /^$/],
	['a cluster without a role', faultsOf({one: {cluster: 'home'}}), /one\.seed\.machine\.kubernetes: .*add role/],
	['a server without a cluster', faultsOf({one: {role: 'agent', server}}), /kubernetes: .*not of which cluster; add/],
	['an agent without a server', faultsOf({one: {role: 'agent', cluster: 'home'}}), /kubernetes: an agent joins.*say/],
	['a further server of one', faultsOf({one: first, two: {...first, server}}), /two\..*more than one; say.*servers: 3/],
	['a name that is none', faultsOf({one: {...first, cluster: 'Home!'}}), /kubernetes\.cluster: expected a name/],
	['two that begin it', faultsOf({one: first, two: first}), /two\..*one begins the cluster home.*say server/],
	['a machine and a domain that begin it', faultsOf({one: first}, {own: first}), /one\..*lab begins the cluster home/],
	['a node twice', faultsOf({one: first, two: {...agent, nodeName: 'one'}}), /two\..*home has a node one already/],
	[
		'many machines that would begin it',
		faultsOf({}, {own: first, hostname: 'node-{mac}'}),
		/cluster: every machine.*the same keys.*remove cluster/,
	],
	['many machines that join it', faultsOf({}, {own: {...agent}, hostname: 'node-{mac}'}), /^$/],
	['many servers that join it', faultsOf({}, {own: {...first, server, servers: 3}, hostname: '{serial}'}), /^$/],
	['many machines with clusters of their own', faultsOf({}, {own: {role: 'server'}, hostname: 'node-{mac}'}), /^$/],
	['a machine of many', faultsOf({one: first}, {hostname: 'node-{mac}'}), /one\..*every machine of this medium/],
];
for (const [title, faults, expected] of table) test(`clusters: ${title}`, t => void t.regex(faults, expected));
