import {ownOptions} from '../sequence.ts';
import type {FalseFact, Sections} from './fact.ts';

/** As much of other sections as a node of a cluster depends on. */
export interface Surroundings {
	/** Of an image the clones' seeds say what they join. */
	image?: object | undefined;
	firewall?: {zones?: Readonly<Record<string, {links?: readonly string[]}>>} | undefined;
}

/** What the schema of the section `kubernetes` cannot see. */
export function checkKubernetes(
	{role, server, servers, config, manifests}: NonNullable<Sections['kubernetes']>,
	{firewall, image}: Surroundings,
): FalseFact[] {
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
	const zones = Object.values(firewall?.zones ?? {});
	if (firewall && !zones.some(({links}) => links?.includes('cni0')))
		add(
			[],
			'the firewall has no zone for the pods, and would drop what they send; add cni0 and flannel.1 to a zone in firewall.zones',
		);
	return faults;
}
