import {type Probe, planFile, type Step} from './phase.ts';

/** How many subordinate ids a user gets. */
const count = 65536;

/** A user and its number. */
export interface Numbered {
	name: string;
	uid: number;
}

const startOf = ({uid}: Numbered) => 10_000_000 + (uid - 2000) * count;

const show = (start: number, count: number) => `${start}-${start + count - 1}`;

const lineOf = (user: Numbered) => `${user.name}:${startOf(user)}:${count}`;

const isOf = (line: string, {name, uid}: Numbered) => [name, String(uid)].includes(line.split(':')[0] ?? '');

/** The users whose range is not, or not alone, in the text of /etc/subuid or /etc/subgid. Throws when one overlaps with another's: two users would own each other's files. */
export function findUnranged<User extends Numbered>(text: string, path: string, users: readonly User[]): User[] {
	const lines = text.split('\n');
	for (const user of users) {
		for (const line of lines.filter(line => !isOf(line, user))) {
			const [owner, start, size] = line.split(':');
			const [from, length] = [Number(start), Number(size)];
			if (from < startOf(user) + count && startOf(user) < from + length)
				throw new Error(
					`${path}: the range ${show(startOf(user), count)} of ${user.name} (containers.users.${user.name}.uid) overlaps with ${show(from, length)} of ${owner}; remove that line, or take another uid`,
				);
		}
	}
	return users.filter(user => lines.filter(line => isOf(line, user)).join('\n') !== lineOf(user));
}

/** The steps to the subuid and subgid ranges of the users, and the names of those whose range changes. Other users' lines are kept. */
export async function planRanges(
	users: readonly Numbered[],
	probe: Probe,
): Promise<{changed: Set<string>; steps: Step[]}> {
	const changed = new Set<string>();
	const steps: Step[] = [];
	for (const path of ['/etc/subuid', '/etc/subgid']) {
		const text = (await probe.read(path)) ?? '';
		const unranged = findUnranged(text, path, users);
		if (unranged.length === 0) continue;
		const kept = text.split('\n').filter(line => line !== '' && !unranged.some(user => isOf(line, user)));
		const content = [...kept, ...unranged.map(lineOf), ''].join('\n');
		const names = unranged.map(({name}) => name);
		for (const name of names) changed.add(name);
		steps.push({do: 'write', path, content, mode: 0o644, why: `write the range of ${names.join(', ')} to ${path}`});
	}
	return {changed, steps};
}

/**
 * The steps that give people whose accounts are not there yet the ranges that useradd gives: the first that nobody has in
 * either file, from 100000 on (SUB_UID_MIN of login.defs(5)). None in a file that is not there.
 */
export async function planUserRanges(names: readonly string[], probe: Probe): Promise<Step[]> {
	const steps: Step[] = [];
	const paths = ['/etc/subuid', '/etc/subgid'];
	const files = await Promise.all(
		paths.map(async path => ({path, lines: (await probe.read(path))?.split('\n').filter(Boolean)})),
	);
	const ranges = files.flatMap(({lines = []}) => lines.map(line => line.split(':')));
	const given = ranges.filter(([, from, length]) => /^\d+$/.test(from ?? '') && /^\d+$/.test(length ?? ''));
	const isFree = (start: number) =>
		given.every(([, from, length]) => start + count <= Number(from) || Number(from) + Number(length) <= start);
	for (const name of names) {
		let start = 100_000;
		while (!isFree(start)) start += count;
		// Half of it may be there, written before the power was cut.
		const range = given.find(([owner]) => owner === name) ?? [name, `${start}`, `${count}`];
		given.push(range);
		for (const {lines} of files)
			if (lines && !lines.some(line => line.startsWith(`${name}:`))) lines.push(range.join(':'));
	}
	for (const {path, lines} of files)
		if (lines)
			steps.push(
				...(await planFile(probe, path, `${lines.join('\n')}\n`, `write the ranges of ${names.join(', ')} to ${path}`)),
			);
	return steps;
}
