import {planAssets} from '../assets.ts';
import {parseSize} from '../disks.ts';
import {renderDomain, renderNetwork, renderPool} from '../domain.ts';
import {listMissingImages, planVolumes, readStorage, type Storage} from '../domain-disks.ts';
import {checkDisks, checkMounted} from '../domain-places.ts';
import {planLeftDomains} from '../domains-left.ts';
import {
	active,
	define,
	defined,
	type Libvirt,
	planDaemon,
	planDefaultNetwork,
	planNetwork,
	planPool,
	readDefinition,
	readKept,
	readLibvirt,
	run,
} from '../libvirt.ts';
import {deriveUuid, readMachineIdentity} from '../machine-identity.ts';
import {planTable} from '../nftables.ts';
import {ofPart, type Phase, type Probe, planFile, planParts, type Step} from '../phase.ts';
import {listSeedSecrets, renderSeed, type Seed} from '../seed.ts';
import {findFullFolders, findShortages, roundMemory} from '../sizing.ts';
import {renderSpoofing} from '../spoofing.ts';
import {
	type Kept,
	type PlacedDomain,
	placeDomains,
	type Virtualization,
	virtualizationSchema,
} from '../virtualization.ts';

const seedsFolder = '/var/lib/libvirt/seeds';

async function checkMachine(config: Virtualization, probe: Probe): Promise<void> {
	if (config.accelerator === 'kvm' && (await probe.read('/sys/class/misc/kvm/dev')) === undefined)
		throw new Error(
			'this machine offers no hardware virtualization (there is no /dev/kvm): switch on VT-x or AMD-V (SVM) in its firmware, or set virtualization.accelerator: tcg, which emulates the processor and is about ten times slower',
		);
	const usable = /^MemTotal:\s+(\d+) kB$/m.exec((await probe.read('/proc/meminfo')) ?? '')?.[1];
	const cpus = (await probe.read('/proc/cpuinfo'))?.match(/^processor\s*:/gm)?.length;
	const memory = usable === undefined ? undefined : roundMemory(Number(usable) * 1024);
	const shortages = findShortages(config, {memory, cpus});
	if (shortages.length > 0) throw new Error(shortages.join('\n'));
	for (const [name, {bridge, vlan, groups}] of Object.entries(config.networks)) {
		const filtering = await probe.read(`/sys/class/net/${bridge}/bridge/vlan_filtering`);
		const at = `virtualization.networks.${name}`;
		if (filtering === undefined)
			throw new Error(`${at}.bridge: this machine has no bridge ${bridge}; name one of the section network`);
		if (filtering.trim() === '0' && (vlan !== undefined || Object.keys(groups).length > 0))
			throw new Error(`${at} has VLANs, and the bridge ${bridge} is not VLAN-aware; make it so in the section network`);
	}
}

/** What is planned, and what stands on the machine. */
interface Place {
	config: Virtualization;
	identity: string;
	/** What libvirt has of the profile's domains, by name. */
	definitions: ReadonlyMap<string, string>;
	libvirt: Libvirt;
	storage: Storage;
	probe: Probe;
}

type Folder = {name: string; path: string; thin: boolean};

function listFolderPools({pools}: Virtualization): Folder[] {
	return Object.entries(pools).flatMap(([name, pool]) => ('path' in pool ? [{name, ...pool}] : []));
}

async function checkStorage(config: Virtualization, domains: readonly PlacedDomain[], probe: Probe): Promise<void> {
	const files = domains.flatMap(({volumes}) => volumes).filter(({kind}) => kind === 'file');
	const folders = listFolderPools(config).map(({path, thin}) => {
		const inside = files.filter(file => file.path.startsWith(`${path}/`));
		return {path, thin, bytes: inside.reduce((sum, {bytes}) => sum + bytes, 0)};
	});
	const output = await probe.output(['findmnt', '--real', '--list', '--bytes', '--json', '--output', 'TARGET,SIZE']);
	const {filesystems} = JSON.parse(output) as {filesystems: {target: string; size: number | string | null}[]};
	const mounts = filesystems.map(({target, size}) => ({target, size: Number(size ?? 0)}));
	const full = findFullFolders(folders, mounts, config.reserve.storage);
	if (full.length > 0) throw new Error(full.join('\n'));
}

async function planNesting({nested}: Virtualization, {files}: Libvirt, probe: Probe): Promise<Step[]> {
	const modules = ['kvm_intel', 'kvm_amd'];
	const content = modules.map(module => `options ${module} nested=${nested ? 1 : 0}\n`).join('');
	const why = `${nested ? 'allow' : 'forbid'} domains in domains`;
	const steps = await planFile(probe, '/etc/modprobe.d/bringup-kvm.conf', content, why);
	const busy = [...files].some(path => path.startsWith(`${active.domain}/`));
	for (const module of modules) {
		const found = (await probe.read(`/sys/module/${module}/parameters/nested`))?.trim();
		// A module in use cannot be loaded again; the next boot does it.
		if (found === undefined || ['Y', '1'].includes(found) === nested || busy) continue;
		steps.push(run(['modprobe', '--remove', module], `unload ${module}`), run(['modprobe', module], why));
	}
	return steps;
}

async function planPoolsAndNetworks(
	parts: readonly string[],
	{config, identity, libvirt, storage, probe}: Place,
): Promise<Step[]> {
	const makeFolder = (path: string, why: string) =>
		storage.paths.has(path) ? [] : [run(['mkdir', '--parents', '--mode=0711', path], why)];
	const steps = makeFolder(seedsFolder, 'make the folder of the seeds');
	for (const {name, path} of listFolderPools(config).filter(({name}) => parts.includes(`pools.${name}`))) {
		const render = (uuid = deriveUuid(identity, 'pool', name)) => renderPool(name, uuid, path);
		steps.push(...makeFolder(path, `make the folder of the pool ${name}`));
		steps.push(...(await planPool({name, path, render}, libvirt, probe)));
	}
	for (const [name, network] of Object.entries(config.networks)) {
		const render = (uuid = deriveUuid(identity, 'network', name)) => renderNetwork(name, uuid, network);
		steps.push(...(await planNetwork(name, render, libvirt, probe)));
	}
	return steps;
}

async function readSeed(domain: PlacedDomain, probe: Probe): Promise<Seed | undefined> {
	const secrets = new Map<string, string>();
	for (const {at, path} of domain.seed ? listSeedSecrets(domain.name, domain.seed) : []) {
		const value = (await probe.read(path))?.trimEnd();
		if (!value) throw new Error(`${at} is not in ${path}; build the medium again`);
		secrets.set(path, value);
	}
	return renderSeed(domain, secrets);
}

function planSeed(seed: Seed, path: string, {paths}: Storage): Step[] {
	if (paths.has(path)) return [];
	const fresh = `${path}.new`;
	return [
		run(['mformat', '-C', '-i', fresh, '-f', '1440', '-v', 'CIDATA', '::'], `make the seed ${seed.instanceId}`),
		run(['chmod', '0600', fresh], 'let nobody else read it'),
		...Object.entries(seed.files).map(([name, content]) =>
			run(['mcopy', '-o', '-i', fresh, '-', `::/${name}`], `put ${name} into it`, content),
		),
		run(['sync', fresh], 'make it durable'),
		run(['mv', '--no-target-directory', fresh, path], `put ${path} in place`),
	];
}

/** The definitions of the profile's domains that libvirt has, by name. */
async function readDefinitions(
	{domains}: Virtualization,
	libvirt: Libvirt,
	probe: Probe,
): Promise<Map<string, string>> {
	const found = new Map<string, string>();
	for (const name of Object.keys(domains)) {
		const definition = await readDefinition('domain', name, libvirt, probe);
		if (definition !== undefined) found.set(name, definition);
	}
	return found;
}

async function planDomain(
	domain: PlacedDomain,
	{config, definitions, libvirt, storage, probe}: Place,
): Promise<Step[]> {
	const {name} = domain;
	const seed = await readSeed(domain, probe);
	const seedPath = seed && `${seedsFolder}/${seed.instanceId}.img`;
	const settings = {accelerator: config.accelerator, memory: parseSize(domain.memory), seed: seedPath};
	const {xml, digest} = renderDomain(domain, settings);
	const running = libvirt.files.has(`${active.domain}/${name}.xml`);
	const steps = seed && seedPath ? planSeed(seed, seedPath, storage) : [];
	if (!definitions.get(name)?.includes(digest)) {
		const later = running ? '; it takes effect when the domain is started again' : '';
		steps.push(...define('domain', name, xml, `define the domain ${name}${later}`));
	}
	const seeds = new RegExp(`^${seedsFolder}/${name}-[0-9a-f]{12}\\.img$`);
	const old = [...storage.paths].filter(path => seeds.test(path) && path !== seedPath);
	if (old.length > 0) steps.push(run(['rm', '--force', ...old], `remove the seed that ${name} had before`));
	const autostart = libvirt.files.has(`${defined.domain}/autostart/${name}.xml`);
	if (domain.autostart && !autostart) steps.push(run(['virsh', 'autostart', name], `start ${name} at every boot`));
	if (!domain.autostart && autostart)
		steps.push(run(['virsh', 'autostart', '--disable', name], `start ${name} no more at boot`));
	if (domain.start && !running) steps.push(run(['virsh', 'start', name], `start ${name}`));
	return steps;
}

/** Throws when a pool, or a domain with its disks, is not where it should be. */
async function checkPart(
	part: string,
	domains: readonly PlacedDomain[],
	{config, definitions, storage, probe}: Place,
): Promise<void> {
	const folders = listFolderPools(config);
	const pool = folders.find(({name}) => part === `pools.${name}`);
	const domain = domains.find(({name}) => part === `domains.${name}`);
	const paths = domain?.volumes.flatMap(volume => (volume.kind === 'file' ? [volume.folder] : []));
	await checkMounted(pool ? [pool] : folders.filter(({path}) => paths?.includes(path)), probe);
	if (domain) await checkDisks(domain, definitions.get(domain.name), storage, probe);
}

/** The steps to libvirt and to these pools and domains. */
async function planAll(all: readonly PlacedDomain[], parts: readonly string[], place: Place): Promise<Step[]> {
	const {config, libvirt, storage, probe} = place;
	const domains = all.filter(({name}) => parts.includes(`domains.${name}`));
	const running = new Set(
		domains.map(({name}) => name).filter(name => libvirt.files.has(`${active.domain}/${name}.xml`)),
	);
	const volumes = domains.flatMap(domain => domain.volumes);
	const steps = [
		...(await planNesting(config, libvirt, probe)),
		...(await planDaemon(libvirt, probe)),
		...planDefaultNetwork(libvirt),
		...(await planLeftDomains(config, libvirt, probe)),
		...(await planPoolsAndNetworks(parts, place)),
		// Before a domain starts: its link is named in the rules already.
		...(await planTable(probe, renderSpoofing(all))),
		...(await planAssets(listMissingImages(volumes, storage), probe)),
		...(await planVolumes(domains, storage, running, probe)),
	];
	for (const domain of domains) steps.push(...ofPart(`domains.${domain.name}`, await planDomain(domain, place)));
	return steps;
}

/** KVM, libvirt, its pools, networks and domains. */
export const virtualization: Phase<typeof virtualizationSchema> = {
	packages: ({pools}) => [
		...['libvirt-daemon-system', 'libvirt-clients', 'qemu-system-x86', 'qemu-utils', 'ovmf'],
		...['lvm2', 'mtools', 'nftables', 'kmod', 'udev'],
		...(Object.values(pools).some(pool => 'dataset' in pool) ? ['zfsutils-linux'] : []),
	],
	async plan(config, probe) {
		const identity = await readMachineIdentity(probe);
		await checkMachine(config, probe);
		const libvirt = await readLibvirt(
			[
				...Object.keys(config.networks).map(name => `${active.network}/${name}.xml`),
				...Object.entries(config.domains).flatMap(([name, {start}]) => (start ? [`${active.domain}/${name}.xml`] : [])),
			],
			probe,
		);
		const definitions = await readDefinitions(config, libvirt, probe);
		const kept = [...definitions].flatMap(([name, definition]): [string, Kept][] => {
			const one = readKept(definition);
			return one ? [[name, one]] : [];
		});
		const domains = placeDomains(config, identity, new Map(kept));
		await checkStorage(config, domains, probe);
		const folders = listFolderPools(config);
		const volumes = domains.flatMap(domain => domain.volumes);
		const storage = await readStorage([seedsFolder, ...folders.map(({path}) => path)], volumes, probe);
		const place = {config, identity, definitions, libvirt, storage, probe};
		const pools = folders.map(({name}) => `pools.${name}`);
		// One that cannot be made, or must not be, does not keep the others from running.
		return planParts(
			[...pools, ...domains.map(({name}) => `domains.${name}`)],
			part => checkPart(part, domains, place),
			(_, parts) => planAll(domains, parts, place),
		);
	},
	async absent(probe) {
		// A machine that never had the section has no program that could be asked.
		if ((await probe.list(defined.pool)) === undefined) return [];
		return planLeftDomains({...virtualizationSchema.parse({}), pools: {}}, await readLibvirt([], probe), probe);
	},
};
