import {chmod, mkdir, rename, writeFile} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import type {Seed} from '../../firstboot/sequence.ts';
import {withFolder} from '../folder.ts';
import {run} from '../run.ts';

export type SeedFormat = 'nocloud' | 'configdrive';

/** The label by which cloud-init finds each (its documentation, NoCloud and ConfigDrive). */
const labels: Record<SeedFormat, string> = {nocloud: 'CIDATA', configdrive: 'config-2'};

interface Ethernet {
	match: {macaddress: string};
	dhcp4: boolean;
	addresses?: string[];
	routes?: {to: string; via: string}[];
	nameservers?: {addresses: string[]};
}

const jsonOf = (value: unknown) => `${JSON.stringify(value, undefined, 2)}\n`;

/** The networks of a link in OpenStack's network_data.json. */
function listNetworks(link: string, {addresses = [], dhcp4, routes = []}: Ethernet): object[] {
	if (dhcp4) return [{id: `${link}-dhcp`, link, type: 'ipv4_dhcp'}];
	return addresses.map(address => {
		const type = address.includes(':') ? 'ipv6' : 'ipv4';
		const nothing = type === 'ipv6' ? '::' : '0.0.0.0';
		const own = routes.filter(({via}) => via.includes(':') === (type === 'ipv6'));
		const gateways = own.map(({via}) => ({network: nothing, netmask: nothing, gateway: via}));
		return {id: `${link}-${address}`, link, type, ip_address: address, routes: gateways};
	});
}

/** The same seed as a ConfigDrive has it (OpenStack's layout, version latest). */
function toConfigDrive({instanceId, files}: Seed): Map<string, string> {
	const {ethernets} = JSON.parse(files['network-config']) as {ethernets: Record<string, Ethernet>};
	const hostname = (JSON.parse(files['meta-data']) as Record<string, string>)['local-hostname'];
	const all = Object.entries(ethernets);
	const links = all.map(([id, {match}]) => ({id, name: id, type: 'phy', ethernet_mac_address: match.macaddress}));
	const servers = new Set(all.flatMap(([, {nameservers}]) => nameservers?.addresses ?? []));
	const services = [...servers].map(address => ({type: 'dns', address}));
	return new Map([
		['openstack/latest/meta_data.json', jsonOf({uuid: instanceId, hostname, name: hostname})],
		['openstack/latest/user_data', files['user-data']],
		[
			'openstack/latest/network_data.json',
			jsonOf({links, networks: all.flatMap(([name, ethernet]) => listNetworks(name, ethernet)), services}),
		],
	]);
}

/** The files of a seed, by their path on its medium. */
export function listSeedFiles(seed: Seed, format: SeedFormat): ReadonlyMap<string, string> {
	return format === 'nocloud' ? new Map(Object.entries(seed.files)) : toConfigDrive(seed);
}

/** Writes a seed into a folder. Its files may hold secrets: they are this user's alone. */
export async function writeSeedFolder(seed: Seed, format: SeedFormat, folder: string): Promise<void> {
	for (const [path, content] of listSeedFiles(seed, format)) {
		const file = join(folder, path);
		await mkdir(dirname(file), {recursive: true});
		await writeFile(file, content, {mode: 0o600});
	}
}

/** Writes a seed as an ISO with the label that cloud-init looks for; it may hold secrets, and is this user's alone. */
export async function writeSeedIso(seed: Seed, format: SeedFormat, iso: string): Promise<void> {
	await withFolder(dirname(iso), async work => {
		const [folder, made] = [join(work, 'files'), join(work, 'seed.iso')];
		await writeSeedFolder(seed, format, folder);
		const names = ['-V', labels[format], '-J', '-r', '-quiet'];
		await run(['xorriso', '-as', 'mkisofs', ...names, '-o', made, folder]);
		await chmod(made, 0o600);
		await rename(made, iso);
	});
}
