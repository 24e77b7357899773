import * as z from 'zod';
import {installSchema} from './disks.ts';
import {imageSchema} from './golden.ts';
import {hardeningSchema} from './hardening.ts';
import {kubernetesSchema} from './k3s.ts';
import {networkSchema} from './links.ts';
import {type Phase, type Probe, rememberAnswers, type Step} from './phase.ts';
import {arrays} from './phases/arrays.ts';
import {bootInstalled} from './phases/boot-installed.ts';
import {bootloader} from './phases/bootloader.ts';
import {clean, cleanTarget} from './phases/clean.ts';
import {clear} from './phases/clear.ts';
import {containerImages, containers} from './phases/containers.ts';
import {dataDisks} from './phases/data-disks.ts';
import {datasets} from './phases/datasets.ts';
import {deliver} from './phases/deliver.ts';
import {disk} from './phases/disk.ts';
import {filesystems} from './phases/filesystems.ts';
import {finish} from './phases/finish.ts';
import {firewall, firewallSchema, firstFirewall} from './phases/firewall.ts';
import {format} from './phases/format.ts';
import {groups} from './phases/groups.ts';
import {hardening} from './phases/hardening.ts';
import {identity} from './phases/identity.ts';
import {kubernetes, kubernetesFiles} from './phases/kubernetes.ts';
import {mark} from './phases/mark.ts';
import {mounts} from './phases/mounts.ts';
import {network} from './phases/network.ts';
import {partition} from './phases/partition.ts';
import {pools} from './phases/pools.ts';
import {link, name} from './phases/preflight.ts';
import {recovery} from './phases/recovery.ts';
import {report} from './phases/report.ts';
import {seal} from './phases/seal.ts';
import {subvolumes} from './phases/subvolumes.ts';
import {unpack} from './phases/unpack.ts';
import {virtualization} from './phases/virtualization.ts';
import {containersSchema} from './quadlet.ts';
import {identitySchema} from './users.ts';
import {virtualizationSchema} from './virtualization.ts';
import {type Kind, storageSchema} from './volumes.ts';

/** The sections of the profile that the machine reads; machine.json holds them. */
export const sections = {
	install: installSchema,
	identity: identitySchema,
	network: networkSchema.optional(),
	firewall: firewallSchema.optional(),
	storage: storageSchema.optional(),
	hardening: hardeningSchema.optional(),
	kubernetes: kubernetesSchema.optional(),
	containers: containersSchema.optional(),
	virtualization: virtualizationSchema.optional(),
	image: imageSchema.optional(),
};

/** The contract between the builder and the machine: what machine.json holds. */
export const machineSchema = z.strictObject({
	schema: z.literal(1),
	profile: z.string(),
	...z.strictObject(sections).partial().shape,
});

export type Machine = z.output<typeof machineSchema>;
type Section = keyof typeof sections;

/** A phase in its place: the section that it reads, the name that people see, and what it depends on. */
export interface Entry {
	name: string;
	section: Section;
	// biome-ignore lint/suspicious/noExplicitAny: a list of phases with different sections; `entry` ties each to its own
	phase: Phase<any>;
	/** Earlier phases: when one of them fails, this one is held back. */
	after: readonly string[];
	/**
	 * What it makes of the section storage, each of which may fail alone: later phases get the section without it, and so
	 * must not take for removed what their section does not name.
	 */
	makes?: Kind;
	/** It is held back when the folders where its data is, these or those that its section names, lie on a disk that failed. */
	data?: readonly string[];
}

function entry<Name extends Section>(
	name: string,
	section: Name,
	phase: Phase<z.ZodType<NonNullable<Machine[Name]>>>,
	needs: Partial<Pick<Entry, 'after' | 'makes' | 'data'>> = {},
): Entry {
	return {name, section, phase, after: [], ...needs};
}

/** Each needs all before it: nothing is erased when a question before failed, nothing sealed that is not whole. */
const inOrder = (entries: readonly Entry[]): readonly Entry[] =>
	entries.map((entry, index) => ({...entry, after: entries.slice(0, index).map(({name}) => name)}));

/** On the medium: from the machine as it is to a disk that boots. */
export const install = inOrder([
	entry('disk', 'install', disk),
	entry('boot-installed', 'install', bootInstalled),
	entry('name', 'identity', name),
	entry('link', 'network', link),
	entry('partition', 'install', partition),
	entry('format', 'install', format),
	entry('unpack', 'install', unpack),
	entry('bootloader', 'install', bootloader),
	entry('clean', 'image', cleanTarget),
	entry('finish', 'install', finish),
]);

/** Where debian-installer installs, it does most of this itself, and these stand around its partitioner and at its end. */
export const choose = inOrder([
	entry('link', 'network', link),
	entry('disk', 'install', disk),
	entry('clear', 'install', clear),
]);
export const claim = inOrder([entry('mark', 'install', mark)]);
export const complete = inOrder([entry('mark', 'install', mark), entry('deliver', 'install', deliver)]);

/**
 * At every boot of the installed machine. What has its data on the system disk waits for the seal: before it the disk
 * counts as nobody's. What serves others waits for the firewall. Domains ask themselves for the bridges that they need.
 */
export const provision: readonly Entry[] = [
	entry('recovery', 'hardening', recovery),
	entry('seal', 'install', seal),
	entry('identity', 'identity', identity),
	entry('first-firewall', 'firewall', firstFirewall),
	entry('link', 'network', link),
	entry('network', 'network', network, {after: ['link']}),
	entry('report', 'network', report),
	entry('firewall', 'firewall', firewall),
	entry('hardening', 'hardening', hardening),
	entry('data-disks', 'storage', dataDisks, {makes: 'disks'}),
	entry('arrays', 'storage', arrays, {makes: 'arrays'}),
	entry('groups', 'storage', groups, {makes: 'groups'}),
	entry('filesystems', 'storage', filesystems, {makes: 'filesystems'}),
	entry('mounts', 'storage', mounts, {makes: 'filesystems'}),
	entry('subvolumes', 'storage', subvolumes, {makes: 'filesystems'}),
	entry('pools', 'storage', pools, {makes: 'pools'}),
	entry('datasets', 'storage', datasets, {makes: 'pools'}),
	entry('virtualization', 'virtualization', virtualization, {
		after: ['seal', 'identity'], // its identifiers are made from the machine's
		data: ['/var/lib/libvirt'],
	}),
	entry('containers', 'containers', containers, {after: ['seal', 'firewall'], data: ['/home']}),
	entry('kubernetes', 'kubernetes', kubernetes, {
		after: ['seal', 'identity', 'network', 'firewall'], // a node is known by its name and its address
		data: ['/var/lib/rancher', '/var/lib/kubelet'],
	}),
];

/** On the disk of a golden image, when it boots for the only time before it is sealed. */
export const template = inOrder([
	entry('containers', 'containers', containerImages),
	entry('kubernetes', 'kubernetes', kubernetesFiles),
	entry('clean', 'image', clean),
]);

export const sequences = {install, provision, choose, claim, complete, template};

/** The Debian packages that the phases run whose section the profile has. */
export function listPackages(given: Partial<Pick<Machine, Section>>): string[] {
	const needed = [...install, ...provision].flatMap(({section, phase: {packages}}) => {
		const config = given[section];
		if (config === undefined) return [];
		return typeof packages === 'function' ? packages(config) : packages;
	});
	return [...new Set(needed)].sort();
}

/** The steps of one phase on the machine as found; undefined when the profile lacks its section and nothing of it is left. */
export async function planEntry(entry: Entry, machine: Machine, probe: Probe): Promise<Step[] | undefined> {
	const section = machine[entry.section];
	if (section !== undefined) {
		// An install takes no data disk.
		const config = entry.section === 'install' ? {...section, dataDisks: machine.storage?.disks} : section;
		return entry.phase.plan(config, probe);
	}
	const steps = (await entry.phase.absent?.(probe)) ?? [];
	return steps.length > 0 ? steps : undefined;
}

/** The steps of a whole sequence on the machine as found, without doing any. */
export async function planSequence(
	sequence: readonly Entry[],
	machine: Machine,
	probe: Probe,
): Promise<{phase: string; steps: Step[]}[]> {
	const plans = [];
	const {probe: remembering} = rememberAnswers(probe);
	for (const entry of sequence) {
		const steps = await planEntry(entry, machine, remembering);
		if (steps) plans.push({phase: entry.name, steps});
	}
	return plans;
}

export {admitsNeighbour, admitsSsh, covers, listSshRules} from './admission.ts';
export {type Asset, assetPath, assetsFolder, url} from './assets.ts';
export {parseSize, size} from './disks.ts';
export {type Image, logs, traces} from './golden.ts';
export {
	authorityFiles,
	clusterSecrets,
	type Kubernetes,
	kubernetesSchema,
	listClusterFiles,
	listFamilies,
	type Member,
	memberSchema,
	nodePasswordPath,
	ownOptions,
} from './k3s.ts';
export {isVlanAware} from './networkd.ts';
export {buildIdPath, own, type Probe, type Secret, type Step, secretPath} from './phase.ts';
export {type ContainerUser, formatUnits, kindOf, serviceOf} from './quadlet.ts';
export {hideSecrets, probeRecord, type RecordedMachine, recordProbe} from './record.ts';
export {recoveryPath, recoveryUser} from './recovery.ts';
export {findNode, placeForDomain, renderSeed, type Seed} from './seed.ts';
export {findShortages} from './sizing.ts';
export {splitCidr, subnetHolds} from './subnets.ts';
export {trialSeconds} from './trial.ts';
export {type Domain, placeDomains, type Virtualization} from './virtualization.ts';
