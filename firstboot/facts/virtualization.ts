import {findShortages, isVlanAware, own, parseSize, subnetHolds, type Virtualization} from '../sequence.ts';
import type {FalseFact, FieldPath, Sections} from './fact.ts';
import {findKeyFault} from './keys.ts';
import {findVolumeNameFault} from './lvm-names.ts';

const section = 'virtualization';
type Domain = Virtualization['domains'][string];
type Link = Domain['networks'][number];
type Seed = NonNullable<Domain['seed']>;

/** The names of a map, for a message. */
const list = (map: object) => Object.keys(map).join(', ') || 'none';

function checkNetworks(
	{networks}: Virtualization,
	{debian, network}: Pick<Sections, 'debian' | 'network'>,
): FalseFact[] {
	return Object.entries(networks).flatMap(([name, {bridge, vlan, groups}]) => {
		const path = [section, 'networks', name];
		const faults: FalseFact[] = [];
		const hasVlans = vlan !== undefined || Object.keys(groups).length > 0;
		if (name === 'default')
			faults.push({path, message: "is the name of libvirt's own network, which is never started; take another"});
		if (debian?.release === 'bookworm' && hasVlans) {
			const message =
				'has VLANs, which the libvirt of Debian 12 cannot set on a Linux bridge; take debian.release: trixie, or give these domains a bridge of their own on a port that is in this VLAN';
			faults.push({path, message});
		}
		if (!network) return faults;
		const known = Object.keys(network.bridges);
		if (!known.includes(bridge))
			faults.push({
				path: [...path, 'bridge'],
				message: `there is no bridge ${bridge} in network.bridges; there are: ${known.join(', ') || 'none'}`,
			});
		else if (hasVlans && !isVlanAware(network, bridge))
			faults.push({
				path: [...path, 'bridge'],
				message: `has VLANs, and the bridge ${bridge} keeps none apart; set network.bridges.${bridge}.vlanAware: true`,
			});
		return faults;
	});
}

/** Whether the guest reaches a gateway: in one of its subnets, or by a link-local address, which is on every link of IPv6. */
function isReached(gateway: string, addresses: readonly string[]): boolean {
	if (subnetHolds('fe80::/10', gateway)) return addresses.some(cidr => cidr.includes(':'));
	return addresses.some(cidr => subnetHolds(cidr, gateway));
}

function checkLink(link: Link, path: FieldPath, {networks}: Virtualization): FalseFact[] {
	const {network, group, mac, addresses, gateway} = link;
	const faults: FalseFact[] = [];
	const found = own(networks, network);
	if (!found)
		faults.push({path: [...path, 'network'], message: `there is no network ${network}; there are: ${list(networks)}`});
	else if (group !== undefined && !own(found.groups, group))
		faults.push({
			path: [...path, 'group'],
			message: `the network ${network} has no group ${group}; it has: ${list(found.groups)}`,
		});
	if (mac !== undefined && Number.parseInt(mac.slice(0, 2), 16) % 2 === 1)
		faults.push({path: [...path, 'mac'], message: `${mac} is a group address; the second digit must be even`});
	if (gateway && !isReached(gateway, addresses)) {
		const message =
			addresses.length === 0
				? 'with DHCP the gateway comes from the lease; remove it, or give static addresses'
				: `lies in no subnet of ${addresses.join(', ')}`;
		faults.push({path: [...path, 'gateway'], message});
	}
	if (addresses.length === 0 && link.floating.length > 0)
		faults.push({
			path: [...path, 'floating'],
			message: 'without static addresses nothing is dropped by address; remove it, or give addresses',
		});
	return faults;
}

function checkDisks(name: string, {disks}: Domain, path: FieldPath, {pools}: Virtualization): FalseFact[] {
	return disks.flatMap(({pool, how, from}, index) => {
		const at = [...path, 'disks', index];
		const found = own(pools, pool);
		if (!found) return [{path: [...at, 'pool'], message: `there is no pool ${pool}; there are: ${list(pools)}`}];
		const fault = 'volumeGroup' in found ? findVolumeNameFault(`${name}-${index}`) : undefined;
		if (fault)
			return [
				{path: at, message: `would be the logical volume ${name}-${index}, and ${fault}; give the domain another name`},
			];
		if (how !== 'backing') return [];
		if (!from) return [{path: [...at, 'how'], message: 'backing needs a golden image; give `from`'}];
		return 'path' in found
			? []
			: [
					{
						path: [...at, 'how'],
						message: 'a volume of LVM or ZFS has no backing; take how: copy, or a pool that is a folder',
					},
				];
	});
}

/** A dataset lies in a pool of ZFS, whose module the section storage brings. */
function checkDatasets({pools}: Virtualization, storage: Sections['storage']): FalseFact[] {
	const known = Object.keys(storage?.pools ?? {});
	return Object.entries(pools).flatMap(([name, pool]) => {
		const [parent = ''] = 'dataset' in pool ? pool.dataset.split('/') : [];
		if (!('dataset' in pool) || known.includes(parent)) return [];
		const message = `there is no pool ${parent} in storage.pools; there are: ${known.join(', ') || 'none'}`;
		return [{path: [section, 'pools', name, 'dataset'], message}];
	});
}

function checkKeys({users}: Seed, path: FieldPath): FalseFact[] {
	return users.flatMap(({sshKeys}, user) => {
		if (sshKeys === 'auto') return [];
		return sshKeys.flatMap((key, index) => {
			const message = findKeyFault(key);
			return message === undefined ? [] : [{path: [...path, 'users', user, 'sshKeys', index], message}];
		});
	});
}

/** MAC addresses that two links of domains have, and IP addresses that two have in one network. */
function checkTwins(config: Virtualization): FalseFact[] {
	const seen = new Map<string, string>();
	const faults: FalseFact[] = [];
	for (const [name, {networks}] of Object.entries(config.domains)) {
		networks.forEach(({mac, addresses, network, group = ''}, index) => {
			const path = [section, 'domains', name, 'networks', index];
			const own = [
				...(mac ? [{path: [...path, 'mac'], value: mac, where: ''}] : []),
				...addresses.map((cidr, at) => ({
					path: [...path, 'addresses', at],
					value: cidr.replace(/\/.*/, ''),
					where: `${network}/${group}`,
				})),
			];
			for (const {path, value, where} of own) {
				const other = seen.get(`${value} ${where}`);
				if (other !== undefined) faults.push({path, message: `${value} is that of ${other} already; give another`});
				seen.set(`${value} ${where}`, name);
			}
		});
	}
	return faults;
}

/** What is false in the section `virtualization`. */
export function checkVirtualization(
	config: Virtualization,
	{debian, machine, network, storage}: Pick<Sections, 'debian' | 'machine' | 'network' | 'storage'>,
): FalseFact[] {
	const capacity = {memory: machine?.memory === undefined ? undefined : parseSize(machine.memory), cpus: machine?.cpus};
	return [
		...findShortages(config, capacity).map(message => ({path: [section, 'domains'], message})),
		...checkNetworks(config, {debian, network}),
		...Object.entries(config.domains).flatMap(([name, domain]) => {
			const path = [section, 'domains', name];
			return [
				...checkDisks(name, domain, path, config),
				...domain.networks.flatMap((link, index) => checkLink(link, [...path, 'networks', index], config)),
				...(domain.seed ? checkKeys(domain.seed, [...path, 'seed']) : []),
			];
		}),
		...checkTwins(config),
		...checkDatasets(config, storage),
	];
}
