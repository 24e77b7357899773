import {z} from 'zod';
import {installSchema} from './disks.ts';
import {networkSchema} from './links.ts';
import type {Phase, Probe, Step} from './phase.ts';
import {bootloader} from './phases/bootloader.ts';
import {disk} from './phases/disk.ts';
import {finish} from './phases/finish.ts';
import {format} from './phases/format.ts';
import {identity} from './phases/identity.ts';
import {network} from './phases/network.ts';
import {partition} from './phases/partition.ts';
import {link, name} from './phases/preflight.ts';
import {report} from './phases/report.ts';
import {seal} from './phases/seal.ts';
import {unpack} from './phases/unpack.ts';
import {virtualization} from './phases/virtualization.ts';
import {identitySchema} from './users.ts';
import {virtualizationSchema} from './virtualization.ts';

/** The sections of the profile that the machine reads; machine.json holds them. */
export const sections = {
	install: installSchema,
	identity: identitySchema,
	network: networkSchema.optional(),
	virtualization: virtualizationSchema.optional(),
};

/** The contract between the builder and the machine: what machine.json holds. */
export const machineSchema = z.strictObject({
	schema: z.literal(1),
	profile: z.string(),
	...z.strictObject(sections).partial().shape,
});

export type Machine = z.output<typeof machineSchema>;
type Section = keyof typeof sections;

/** A phase in its place: the section that it reads, and the name that people see. */
export interface Entry {
	name: string;
	section: Section;
	// biome-ignore lint/suspicious/noExplicitAny: a list of phases with different sections; `entry` ties each to its own
	phase: Phase<any>;
}

function entry<Name extends Section>(
	name: string,
	section: Name,
	phase: Phase<z.ZodType<NonNullable<Machine[Name]>>>,
): Entry {
	return {name, section, phase};
}

/** On the medium: from the machine as it is to a disk that boots. */
export const install: readonly Entry[] = [
	entry('name', 'identity', name),
	entry('link', 'network', link),
	entry('disk', 'install', disk),
	entry('partition', 'install', partition),
	entry('format', 'install', format),
	entry('unpack', 'install', unpack),
	entry('bootloader', 'install', bootloader),
	entry('finish', 'install', finish),
];

/** At every boot of the installed machine. */
export const provision: readonly Entry[] = [
	entry('seal', 'install', seal),
	entry('identity', 'identity', identity),
	entry('network', 'network', network),
	entry('virtualization', 'virtualization', virtualization),
	entry('report', 'network', report),
];

export const sequences = {install, provision};

/** The Debian packages that the phases run whose section the profile has. */
export function listPackages(given: Partial<Record<keyof typeof sections, unknown>>): string[] {
	const needed = [...install, ...provision].filter(({section}) => given[section] !== undefined);
	return [...new Set(needed.flatMap(({phase}) => phase.packages))].sort();
}

/** The steps of one phase on the machine as found; undefined when the profile lacks its section. */
export async function planEntry(entry: Entry, machine: Machine, probe: Probe): Promise<Step[] | undefined> {
	const section = machine[entry.section];
	return section === undefined ? undefined : entry.phase.plan(section, probe);
}

/** The steps of a whole sequence on the machine as found, without doing any. */
export async function planSequence(
	sequence: readonly Entry[],
	machine: Machine,
	probe: Probe,
): Promise<{phase: string; steps: Step[]}[]> {
	const plans = [];
	for (const entry of sequence) {
		const steps = await planEntry(entry, machine, probe);
		if (steps) plans.push({phase: entry.name, steps});
	}
	return plans;
}

export {type Asset, assetPath, assetsFolder} from './assets.ts';
export {parseSize, size} from './disks.ts';
export {buildIdPath, type Probe, type Secret, type Step, secretPath} from './phase.ts';
export {probeRecord, type RecordedMachine} from './record.ts';
export {renderSeed, type Seed} from './seed.ts';
export {findShortages} from './sizing.ts';
export {placeDomains, type Virtualization} from './virtualization.ts';
