import {mkdir, writeFile} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import type {Seed} from '../../firstboot/sequence.ts';
import {withFolder} from '../folder.ts';
import {run} from '../run.ts';

export type SeedFormat = 'nocloud' | 'configdrive';

/** The label by which cloud-init finds each (its documentation, NoCloud and ConfigDrive). */
const labels: Record<SeedFormat, string> = {nocloud: 'CIDATA', configdrive: 'config-2'};

interface NetworkConfig {
	ethernets: Record<string, {match: {macaddress: string}; addresses?: string[]; dhcp4: boolean}>;
}

const jsonOf = (value: unknown) => `${JSON.stringify(value, undefined, 2)}\n`;

/** The same seed as a ConfigDrive has it (OpenStack's layout, version latest). Of the network it carries links, DHCP and IPv4 addresses. */
function toConfigDrive({instanceId, files}: Seed): Map<string, string> {
	const {ethernets} = JSON.parse(files['network-config']) as NetworkConfig;
	const hostname = (JSON.parse(files['meta-data']) as Record<string, string>)['local-hostname'];
	const links = Object.entries(ethernets).map(([id, {match}]) => {
		return {id, type: 'phy', ethernet_mac_address: match.macaddress};
	});
	const networks = Object.entries(ethernets).flatMap(([link, {addresses = [], dhcp4}]) => {
		const fixed = addresses.map(address => ({id: `${link}-${address}`, link, type: 'ipv4', ip_address: address}));
		return dhcp4 ? [{id: `${link}-dhcp`, link, type: 'ipv4_dhcp'}] : fixed;
	});
	return new Map([
		['openstack/latest/meta_data.json', jsonOf({uuid: instanceId, hostname, name: hostname})],
		['openstack/latest/user_data', files['user-data']],
		['openstack/latest/network_data.json', jsonOf({links, networks, services: []})],
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

/** Writes a seed as an ISO with the label that cloud-init looks for. */
export async function writeSeedIso(seed: Seed, format: SeedFormat, iso: string): Promise<void> {
	await withFolder(dirname(iso), async folder => {
		await writeSeedFolder(seed, format, folder);
		const names = ['-V', labels[format], '-J', '-r', '-quiet'];
		await run(['xorriso', '-as', 'mkisofs', ...names, '-o', iso, folder]);
	});
}
