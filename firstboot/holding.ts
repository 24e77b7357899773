import {GivenUp, own, PartsError} from './phase.ts';
import type {Entry, Machine} from './sequence.ts';
import type {Kind, Storage} from './volumes.ts';

/** What failed in a run so far. */
export interface Lost {
	/** By the name of a phase that failed or was held back: the phases at the root of it. */
	phases: Map<string, readonly string[]>;
	/** By what the section storage names, such as `disks.left`: the phase that failed at it. */
	parts: Map<string, string>;
}

/** How an entry stands to what failed before it. */
export interface Hold {
	/** The phases for whose sake it is held back, or does less. */
	by: string[];
	/** Whether there is nothing left for it to do. */
	whole: boolean;
	/** The machine without what is lost. */
	machine: Machine;
}

/** What each thing of the section lies on. */
function listUses({arrays, groups, filesystems, pools}: Storage): [part: string, on: string[]][] {
	const member = (name: string) => {
		if (name.includes('/')) return `groups.${name.split('/')[0]}`;
		return own(arrays, name) ? `arrays.${name}` : `disks.${name}`;
	};
	return [
		...Object.entries(arrays).map(([name, {members}]) => [`arrays.${name}`, members.map(member)] as [string, string[]]),
		...Object.entries(groups).map(([name, {members}]) => [`groups.${name}`, members.map(member)] as [string, string[]]),
		...Object.entries(filesystems).map(
			([name, {on}]) => [`filesystems.${name}`, [on].flat().map(member)] as [string, string[]],
		),
		...Object.entries(pools).map(
			([name, {vdevs}]) => [`pools.${name}`, vdevs.flatMap(({members}) => members).map(member)] as [string, string[]],
		),
	];
}

/** What is lost, with all that lies on it. */
function spread(storage: Storage, parts: ReadonlyMap<string, string>): Map<string, string> {
	const lost = new Map(parts);
	for (const [part, on] of listUses(storage)) {
		const cause = on.map(one => lost.get(one)).find(phase => phase !== undefined);
		if (cause !== undefined && !lost.has(part)) lost.set(part, cause);
	}
	return lost;
}

const keep = <Value>(kind: Kind, things: Record<string, Value>, lost: ReadonlyMap<string, string>) =>
	Object.fromEntries(Object.entries(things).filter(([name]) => !lost.has(`${kind}.${name}`)));

function withoutParts(storage: Storage, lost: ReadonlyMap<string, string>): Storage {
	const {disks, arrays, groups, filesystems, pools} = storage;
	return {
		...storage,
		disks: keep('disks', disks, lost),
		arrays: keep('arrays', arrays, lost),
		groups: keep('groups', groups, lost),
		filesystems: keep('filesystems', filesystems, lost),
		pools: keep('pools', pools, lost),
	};
}

function listTexts(value: unknown): string[] {
	if (typeof value === 'string') return [value];
	return typeof value === 'object' && value !== null ? Object.values(value).flatMap(listTexts) : [];
}

/** Whether one path is the other, or leads through it. */
const meet = (one: string, other: string) =>
	one === other || one.startsWith(`${other}/`) || other.startsWith(`${one}/`);

/** The phases that failed at something on which the section has its data: by a path, a volume group or a dataset. */
function findCauses(
	section: unknown,
	folders: readonly string[],
	{filesystems, pools}: Storage,
	lost: ReadonlyMap<string, string>,
): string[] {
	const texts = listTexts(section);
	const paths = [...folders, ...texts.flatMap(text => text.match(/(\/[A-Za-z0-9._-]+)+/g) ?? [])];
	const isUsed = (part: string): boolean => {
		const [kind = '', name = ''] = part.split('.');
		const mounts =
			kind === 'filesystems'
				? [own(filesystems, name)?.mount]
				: kind === 'pools'
					? Object.values(own(pools, name)?.datasets ?? {}).map(({mount}) => mount)
					: [];
		if (mounts.some(mount => mount !== undefined && paths.some(path => meet(path, mount)))) return true;
		return (kind === 'groups' || kind === 'pools') && texts.some(text => text.split('/')[0] === name);
	};
	return [...lost].filter(([part]) => isUsed(part)).map(([, phase]) => phase);
}

/** By what an entry is held back, and the machine that is left to it. */
export function findHold(entry: Entry, machine: Machine, lost: Lost): Hold {
	const by = new Set(entry.after.flatMap(name => lost.phases.get(name) ?? []));
	if (by.size > 0) return {by: [...by], whole: true, machine};
	const {storage} = machine;
	if (!storage || lost.parts.size === 0) return {by: [], whole: false, machine};
	const parts = spread(storage, lost.parts);
	if (entry.makes === undefined) {
		const causes = entry.data ? findCauses(machine[entry.section], entry.data, storage, parts) : [];
		return {by: [...new Set(causes)], whole: causes.length > 0, machine};
	}
	const kind = entry.makes;
	const names = Object.keys(storage[kind]);
	const causes = names.flatMap(name => parts.get(`${kind}.${name}`) ?? []);
	return {
		by: [...new Set(causes)],
		whole: names.length > 0 && causes.length === names.length,
		machine: {...machine, storage: withoutParts(storage, parts)},
	};
}

/** Notes what is lost with an entry that failed, or that was held back. */
export function lose(
	entry: Entry,
	machine: Machine,
	lost: Lost,
	why: {error: unknown} | {by: readonly string[]},
): void {
	if ('by' in why) {
		if (entry.makes === undefined) lost.phases.set(entry.name, why.by);
		return;
	}
	if (why.error instanceof GivenUp) return;
	if (entry.makes === undefined) {
		lost.phases.set(entry.name, [entry.name]);
		return;
	}
	const all = Object.keys(machine.storage?.[entry.makes] ?? {});
	const names = why.error instanceof PartsError ? [...why.error.parts.keys()] : all;
	for (const name of names) lost.parts.set(`${entry.makes}.${name}`, entry.name);
}
