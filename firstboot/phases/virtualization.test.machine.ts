import {parseSize} from '../disks.ts';
import {renderDomain, renderNetwork, renderPool} from '../domain.ts';
import {foldersOf, mountsOf} from '../folders.test.machine.ts';
import {deriveUuid} from '../machine-identity.ts';
import {formatTable, planTable} from '../nftables.ts';
import type {Probe, Step} from '../phase.ts';
import {listEnabled, listUnits, rememberAnswers} from '../phase.ts';
import {probeRecord, type RecordedMachine} from '../record.ts';
import {renderSeed} from '../seed.ts';
import {renderSpoofing} from '../spoofing.ts';
import {placeDomains, type Virtualization, virtualizationSchema} from '../virtualization.ts';

export const identity = '7c1f2d0e5b6a4c3d9e8f0a1b2c3d4e5f';
const sha256 = 'a'.repeat(64);
export const key = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEgcppmhmnOuvEPs/uZFLWyxgq4z5jb03cyQg9Iyc7jY me';
const image = {asset: {file: 'golden.qcow2', sha256}};
export const k3s = {
	cpus: 2,
	memory: '2G',
	disks: [{pool: 'images', size: '8G', from: image, how: 'backing'}],
	networks: [{network: 'lan', group: 'iot', addresses: ['192.0.2.11/24'], gateway: '192.0.2.1'}],
	seed: {users: [{name: 'admin', sshKeys: [key]}]},
};
export const profile = {
	reserve: {memory: '2G', storage: '5G'},
	networks: {lan: {bridge: 'br0', groups: {iot: {vlan: 30}}}},
	domains: {
		k3s,
		old: {cpus: 1, memory: '256M', start: false, autostart: false, disks: [{pool: 'images', size: '1G'}]},
	},
};
export const config = virtualizationSchema.parse(profile);
export const change = (changes: object) => virtualizationSchema.parse({...profile, ...changes});

export const images = '/var/lib/libvirt/images';
export const seeds = '/var/lib/libvirt/seeds';
const [k3sPlaced] = placeDomains(config, identity);
export const seed = k3sPlaced && renderSeed(k3sPlaced, new Map())?.instanceId;

export const commands = {
	mounts: 'findmnt --real --list --bytes --json --output TARGET,SIZE',
	units: listUnits.join(' '),
	enabled: listEnabled.join(' '),
	running: 'virsh --quiet list --name',
	pools: 'virsh --quiet pool-list --name',
	tables: 'nft list tables',
	table: 'nft --stateless list table bridge bringup',
};
export const units = (socket: string) =>
	`libvirtd.socket loaded ${socket} listening libvirt\nnftables.service loaded active exited nftables\n`;
const header = (name: string, bytes: number) => ({
	[`${images}/${name}.qcow2`]: Buffer.from(
		`514649fb${'00'.repeat(20)}${bytes.toString(16).padStart(16, '0')}`,
		'hex',
	).toString('latin1'),
});
/** A machine fresh from its first boot, as Debian's libvirt leaves it. */
export const blank: RecordedMachine = {
	commands: {
		[commands.mounts]: {filesystems: [{target: '/', size: 100 * 2 ** 30}]},
		[commands.units]: units('active'),
		[commands.running]: '',
		[commands.pools]: '',
		[commands.enabled]: 'libvirtd.service\nlibvirtd.socket\nlibvirt-guests.service\nnftables.service\n',
		[commands.tables]: '',
	},
	files: {
		...foldersOf(['/etc/libvirt/qemu/networks/default.xml']),
		'/var/lib/bringup/assets/': `${sha256}\n`,
		[`${images}/`]: '',
		'/sys/class/dmi/id/product_uuid': '7C1F2D0E-5B6A-4C3D-9E8F-0A1B2C3D4E5F\n',
		...mountsOf('/'),
		'/proc/meminfo': 'MemTotal:        8030208 kB\nMemFree:         7000000 kB\n',
		'/proc/cpuinfo': 'processor\t: 0\nprocessor\t: 1\nprocessor\t: 2\nprocessor\t: 3\n',
		'/sys/class/misc/kvm/dev': '10:232\n',
		'/sys/class/net/br0/bridge/vlan_filtering': '1\n',
		'/etc/libvirt/network.conf': '# firewall_backend = …\n',
	},
};

/** The files of libvirt when the section is in force. */
export function listDefined(config: Virtualization, by = identity): Record<string, string> {
	const files: Record<string, string> = {
		'/etc/libvirt/qemu/networks/default.xml': '',
		'/run/libvirt/qemu/driver.pid': '812',
	};
	for (const [name, pool] of Object.entries(config.pools)) {
		if (!('path' in pool)) continue;
		files[`/etc/libvirt/storage/${name}.xml`] = renderPool(name, deriveUuid(by, 'pool', name), pool.path);
		files[`/etc/libvirt/storage/autostart/${name}.xml`] = '';
	}
	for (const [name, network] of Object.entries(config.networks)) {
		const {xml} = renderNetwork(name, deriveUuid(by, 'network', name), network);
		for (const folder of ['/etc/libvirt/qemu/networks', '/run/libvirt/network']) files[`${folder}/${name}.xml`] = xml;
		files[`/etc/libvirt/qemu/networks/autostart/${name}.xml`] = '';
	}
	for (const domain of placeDomains(config, by)) {
		const {name, start, autostart} = domain;
		const own = renderSeed(domain, new Map());
		const settings = {memory: parseSize(domain.memory), seed: own && `${seeds}/${own.instanceId}.img`};
		files[`/etc/libvirt/qemu/${name}.xml`] = renderDomain(domain, {accelerator: config.accelerator, ...settings}).xml;
		if (autostart) files[`/etc/libvirt/qemu/autostart/${name}.xml`] = '';
		if (start) files[`/run/libvirt/qemu/${name}.xml`] = '';
	}
	return files;
}

/** The disks of its domains, and their seeds. */
export function madeDisks(config: Virtualization, by = identity): string[] {
	return placeDomains(config, by).flatMap(domain => {
		const own = renderSeed(domain, new Map());
		return [...domain.volumes.map(({path}) => path), ...(own ? [`${seeds}/${own.instanceId}.img`] : [])];
	});
}

/** The same machine when the section is in force. */
export async function makeDone(config: Virtualization): Promise<RecordedMachine> {
	const definitions = listDefined(config);
	const rules = renderSpoofing(placeDomains(config, identity));
	const table = await planTable(probeRecord(blank), rules);
	const written = table.flatMap(step => (step.do === 'write' ? [[step.path, step.content] as const] : []));
	return {
		commands: {
			...blank.commands,
			[commands.tables]: 'table bridge bringup\n',
			[commands.table]: formatTable(rules),
		},
		files: {
			...blank.files,
			...definitions,
			...foldersOf([...Object.keys(definitions), ...madeDisks(config)]),
			...header('k3s-0', 8 * 2 ** 30),
			...header('old-0', 2 ** 30),
			'/etc/libvirt/network.conf': 'firewall_backend = "nftables"\n',
			'/etc/modprobe.d/bringup-kvm.conf': 'options kvm_intel nested=0\noptions kvm_amd nested=0\n',
			'/sys/module/kvm_intel/parameters/nested': 'N\n',
			...Object.fromEntries(written),
		},
	};
}
export const done = await makeDone(config);

export type Changes = Record<string, unknown>;
export function machine(base: RecordedMachine, commands: Changes = {}, files: Record<string, string> = {}): Probe {
	return probeRecord({commands: {...base.commands, ...commands}, files: {...base.files, ...files}});
}

/** A machine on which some of libvirt's files are not there. */
export function without(...paths: string[]): Probe {
	const found = Object.keys(listDefined(config)).filter(path => !paths.includes(path));
	const files = Object.entries(done.files).filter(([path]) => !paths.includes(path));
	const base = {...done, files: Object.fromEntries(files)};
	return rememberAnswers(machine(base, {}, foldersOf(found))).probe;
}

export const whys = (steps: readonly Step[]) => steps.map(({why}) => why);
export const lines = (steps: readonly Step[]) =>
	steps.flatMap(step => (step.do === 'run' ? [step.command.join(' ')] : []));
