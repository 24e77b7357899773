import {findNode, kubernetesSchema, type Member} from '../sequence.ts';
import type {FalseFact, FieldPath, Sections} from './fact.ts';

const example = 'https://192.0.2.11:6443';

/** What a seed lays over the section of its image. Of a map it may hold a part, and null takes a field away: neither is looked at. */
function checkPatch(given: Record<string, unknown>, path: FieldPath): FalseFact[] {
	const kept = Object.fromEntries(Object.entries(given).filter(([, value]) => typeof value !== 'object'));
	const {error} = kubernetesSchema.partial().safeParse(kept);
	// The builder reports unknown fields, for every section of a seed at once.
	const issues = (error?.issues ?? []).filter(({code}) => code !== 'unrecognized_keys');
	const faults = issues.map(({path: field, message}) => ({
		path: [...path, ...(field as FieldPath)],
		message,
	}));
	const add = (message: string) => faults.push({path: [...path], message});
	const {role, cluster, server, servers = 1} = kept;
	if (server !== undefined && cluster === undefined)
		add('says which server it joins, and not of which cluster; add cluster, as its tokens come from there');
	if (cluster !== undefined && role === undefined)
		add('says which cluster it joins, and not as what; add role: server or agent, as what it gets depends on that');
	if (cluster !== undefined && role === 'agent' && server === undefined)
		add(`an agent joins a cluster; say where: server: ${example}`);
	if (role === 'server' && server !== undefined && servers === 1)
		add('a server that joins another makes more than one; say how many the whole cluster has, such as servers: 3');
	return faults;
}

/** A node of a cluster, and where the profile says so. */
interface Found {
	path: FieldPath;
	member: Member;
	node: string;
}

/** Nodes of one name, and two that would each begin the cluster. */
function checkTogether(nodes: readonly Found[]): FalseFact[] {
	const faults: FalseFact[] = [];
	nodes.forEach(({path, member, node}, index) => {
		const others = nodes.slice(0, index).filter(({member: {cluster}}) => cluster === member.cluster);
		if (others.some(other => other.node === node))
			faults.push({path, message: `${member.cluster} has a node ${node} already; give one of them another name`});
		const isFirst = (one: Member) => one.role === 'server' && one.server === undefined;
		const first = others.find(other => isFirst(other.member));
		if (first && isFirst(member))
			faults.push({
				path,
				message: `${first.node} begins the cluster ${member.cluster}, and another would begin a second one beside it; say server: ${example}, or another cluster`,
			});
	});
	return faults;
}

/** What is false about the clusters that the machine and its domains are of. */
export function checkClusters({identity, kubernetes, virtualization}: Sections): FalseFact[] {
	const hostname = identity?.hostname ?? '';
	const faults: FalseFact[] = [];
	const nodes: Found[] = [];
	const begins = kubernetes?.role === 'server' && kubernetes.server === undefined;
	if (begins && kubernetes.cluster !== undefined && hostname.includes('{'))
		faults.push({
			path: ['kubernetes', 'cluster'],
			message: `every machine of this medium (identity.hostname: ${hostname}) would begin a cluster ${kubernetes.cluster} of its own, all with the same keys; give the machine a name of its own, say which server it joins (server: ${example}), or remove cluster: then K3s makes keys on each machine`,
		});
	if (kubernetes?.cluster !== undefined)
		nodes.push({
			path: ['kubernetes'],
			member: {...kubernetes, cluster: kubernetes.cluster},
			node: (kubernetes.nodeName ?? hostname).toLowerCase(),
		});
	for (const [name, {seed}] of Object.entries(virtualization?.domains ?? {})) {
		const given = seed?.machine?.['kubernetes'];
		if (!seed || typeof given !== 'object' || given === null) continue;
		const path = ['virtualization', 'domains', name, 'seed', 'machine', 'kubernetes'];
		faults.push(...checkPatch(given as Record<string, unknown>, path));
		const found = findNode(name, seed);
		if (!found) continue;
		nodes.push({path, member: found.member, node: (found.member.nodeName ?? found.hostname).toLowerCase()});
		if (hostname.includes('{'))
			faults.push({
				path,
				message: `every machine of this medium (identity.hostname: ${hostname}) would have a node of this name; give the machine a name of its own`,
			});
	}
	return [...faults, ...checkTogether(nodes)];
}
