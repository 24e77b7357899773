import * as z from 'zod';
import {type Probe, planFile, type Step} from './phase.ts';

/** What bringup gave each user, so that it takes away what is its own and nothing else. */
export const madePath = '/var/lib/bringup/users.json';

/** Where sshd looks for the keys of the profile. */
export const keysFolder = '/etc/ssh/authorized_keys.d';

const madeSchema = z.record(
	z.string(),
	z.strictObject({
		groups: z.array(z.string()),
		password: z.boolean(),
		/** The profile does not name the user any more, and the account is shut. What a person does with it later is left alone. */
		shut: z.boolean(),
	}),
);

export type Made = z.output<typeof madeSchema>;

/** A database of accounts, by lines and fields. */
export async function readDatabase(probe: Probe, database: 'passwd' | 'group' | 'shadow'): Promise<string[][]> {
	const text = await probe.read(`/etc/${database}`);
	if (text === undefined) throw new Error(`/etc/${database} is missing; this machine's disk is damaged`);
	return text.split('\n').map(line => line.split(':'));
}

/** Whether neither a password nor a key opens the account of this entry of shadow(5). */
export function isShut(entry: readonly string[] | undefined): boolean {
	return entry?.[7] === '1' && entry[1]?.startsWith('!') === true;
}

/** What was given. A machine of before there was such a record has the keys: their folder is bringup's alone. */
export async function readMade(probe: Probe): Promise<Made> {
	const text = await probe.read(madePath);
	if (text !== undefined) return madeSchema.parse(JSON.parse(text));
	const names = [...((await probe.list(keysFolder))?.keys() ?? [])];
	return Object.fromEntries(names.map(name => [name, {groups: ['sudo'], password: false, shut: false}]));
}

/** The record as text, in one order. */
export function formatMade(made: Made): string {
	const entries = Object.entries(made).sort(([a], [b]) => (a < b ? -1 : 1));
	const sorted = entries.map(([name, {groups, ...rest}]) => [name, {groups: [...groups].sort(), ...rest}]);
	return `${JSON.stringify(Object.fromEntries(sorted), undefined, '\t')}\n`;
}

/** The step that makes the record. Before something is given it has what was given and what will be; in the end what is. */
export function planMade(probe: Probe, made: Made, why: string): Promise<Step[]> {
	return planFile(probe, madePath, formatMade(made), why, 0o600);
}

/** The steps out of groups, where the user is in them. */
export function planNoGroups(name: string, groups: readonly string[], database: readonly string[][]): Step[] {
	const isMember = (group: string) =>
		database
			.find(([one]) => one === group)?.[3]
			?.split(',')
			.includes(name);
	return groups.filter(isMember).map(group => ({
		do: 'run',
		command: ['gpasswd', '--delete', name, group],
		why: `take ${name} out of ${group}`,
	}));
}

/** The steps that shut an account which the profile does not name any more. Its home and its files stay. */
export async function planShut(name: string, {groups}: Made[string], probe: Probe): Promise<Step[]> {
	const [passwd, group, shadow] = await Promise.all([
		readDatabase(probe, 'passwd'),
		readDatabase(probe, 'group'),
		readDatabase(probe, 'shadow'),
	]);
	const account = passwd.find(([one]) => one === name);
	const keys = `${keysFolder}/${name}`;
	const hasKeys = (await probe.list(keysFolder))?.has(name);
	const steps: Step[] = hasKeys
		? [{do: 'run', command: ['rm', '--force', keys], why: `remove the SSH keys of ${name}, who is not in the profile`}]
		: [];
	if (!account || Number(account[2]) < 1000) return steps; // gone, or another's by now
	if (!isShut(shadow.find(([one]) => one === name)))
		steps.push({
			do: 'run',
			command: ['usermod', '--lock', '--expiredate', '1', name],
			why: `shut the account of ${name}, who is not in the profile`,
		});
	return [...steps, ...planNoGroups(name, [...new Set(['sudo', ...groups])], group)];
}

/** The step that opens an account again which was shut. */
export function planOpen(name: string, shadow: readonly string[][]): Step[] {
	if (shadow.find(([one]) => one === name)?.[7] !== '1') return [];
	const command = ['usermod', '--unlock', '--expiredate', '', name] as const;
	return [{do: 'run', command, why: `open the account of ${name} again`}];
}
