import * as z from 'zod';
import {type Probe, planFile, type Step, secret, secretPath} from './phase.ts';

/** What useradd takes for a name. */
export const userName = z
	.string()
	.regex(
		/^[a-z_][a-z0-9_-]{0,31}$/,
		'expected a user name: lower case letters, digits, - and _, 32 characters at most',
	);

/** A user, on the machine or in a domain. */
export const userSchema = z.strictObject({
	name: userName,
	sshKeys: z
		.union([z.literal('auto'), z.array(z.string().min(1)).min(1)])
		.describe("public keys, one a line; `auto` takes the builder's own, or makes a pair beside the ISO"),
	sudo: z.boolean().default(true).describe('may become root without a password'),
	groups: z.array(userName).default([]).describe('further groups'),
	password: secret
		.optional()
		.describe('crypt(3) hash for the console, as `mkpasswd` prints it; over SSH a password never works'),
});

/** The section `identity`. */
export const identitySchema = z
	.strictObject({
		hostname: z
			.string()
			.regex(
				/^[a-z0-9]([a-z0-9-]|\{serial\}|\{mac\})*$/,
				'expected a host name of lower case letters, digits and -, or a pattern with {serial} or {mac}',
			)
			.optional()
			.describe(
				'a name, or a pattern: `{serial}` is the serial number that the firmware reports, `{mac}` a MAC address; only a golden image has none',
			),
		locale: z
			.string()
			.regex(/^(C|[a-z]{2,3}_[A-Z]{2})\.UTF-8$/, 'expected a locale such as C.UTF-8 or de_DE.UTF-8')
			.default('C.UTF-8'),
		timezone: z
			.string()
			.regex(/^[A-Za-z0-9_+-]+(\/[A-Za-z0-9_+-]+)*$/, 'expected a time zone such as Etc/UTC or Europe/Berlin')
			.default('Etc/UTC'),
		users: z
			.array(userSchema)
			.default([])
			.describe('who may log in, over SSH and by key only; in a golden image, whoever may into each of its clones'),
	})
	.describe('Who the machine is, and who may log in.');

export type User = z.output<typeof userSchema>;

async function list(probe: Probe, database: 'passwd' | 'group' | 'shadow'): Promise<string[][]> {
	const text = await probe.read(`/etc/${database}`);
	if (text === undefined) throw new Error(`/etc/${database} is missing`);
	return text.split('\n').map(line => line.split(':'));
}

function planGroups(user: User, groups: readonly string[][]): Step[] {
	const wanted = [...(user.sudo ? ['sudo'] : []), ...user.groups];
	const missing = wanted.filter(
		name =>
			!groups
				.find(([group]) => group === name)?.[3]
				?.split(',')
				.includes(user.name),
	);
	if (missing.length === 0) return [];
	const command = ['usermod', '--append', '--groups', missing.join(','), user.name] as const;
	return [{do: 'run', command, why: `put ${user.name} into ${missing.join(', ')}`}];
}

async function planPassword(user: User, shadow: readonly string[][], probe: Probe): Promise<Step[]> {
	if (!user.password) return [];
	const path = secretPath(user.password);
	const hash = (await probe.read(path))?.trim();
	if (!hash) throw new Error(`the password hash of ${user.name} is not in ${path}; build the medium again`);
	if (shadow.find(([name]) => name === user.name)?.[1] === hash) return [];
	return [
		{
			do: 'run',
			command: ['chpasswd', '--encrypted'],
			stdin: `${user.name}:${hash}\n`,
			why: `set the console password of ${user.name}`,
		},
	];
}

async function planAccount(user: User, probe: Probe): Promise<Step[]> {
	const [passwd, group, shadow] = await Promise.all([
		list(probe, 'passwd'),
		list(probe, 'group'),
		list(probe, 'shadow'),
	]);
	const account = passwd.find(([name]) => name === user.name);
	const steps: Step[] = [];
	if (!account) {
		const command = ['useradd', '--create-home', '--shell', '/bin/bash', '--password', '*', user.name] as const;
		steps.push({do: 'run', command, why: `make the user ${user.name}`});
	} else {
		// useradd writes several files; a power cut between two of them leaves half an account.
		if (!shadow.some(([name]) => name === user.name))
			steps.push({do: 'run', command: ['pwconv'], why: `complete the account of ${user.name}`});
		if ((await probe.list('/home'))?.get(user.name)?.type !== 'd') {
			steps.push({do: 'run', command: ['mkhomedir_helper', user.name], why: `make the home of ${user.name}`});
		}
	}
	return [...steps, ...planGroups(user, group), ...(await planPassword(user, shadow, probe))];
}

async function planKeys(user: User, probe: Probe): Promise<Step[]> {
	if (user.sshKeys === 'auto')
		throw new Error(`the keys of ${user.name} were not put in by the build; build the medium again`);
	const content = `${user.sshKeys.join('\n')}\n`;
	return planFile(probe, `/etc/ssh/authorized_keys.d/${user.name}`, content, `let ${user.name} in by SSH key`);
}

/** Whether the accounts can be made here. Throws with the remedy; the medium asks this before anything is erased. */
export async function checkAccounts(users: readonly User[], probe: Probe): Promise<void> {
	const [passwd, group] = await Promise.all([list(probe, 'passwd'), list(probe, 'group')]);
	for (const {name, groups} of users) {
		const account = passwd.find(([other]) => other === name);
		const taken = account ? Number(account[2]) < 1000 : group.some(([other]) => other === name);
		if (taken) throw new Error(`identity.users: ${name} is a name of Debian's own; take another`);
		const missing = groups.filter(wanted => !group.some(([other]) => other === wanted));
		if (missing.length > 0)
			throw new Error(
				`identity.users: ${name} shall be in ${missing.join(', ')}, which no package of the image makes; add the package to debian.packages, or remove the group`,
			);
	}
}

/** The steps to the users as the profile has them: accounts, keys, groups, passwords, sudo. Users that it does not name are left alone. */
export async function planUsers(users: readonly User[], probe: Probe): Promise<Step[]> {
	const steps: Step[] = [];
	for (const user of users) {
		steps.push(...(await planAccount(user, probe)), ...(await planKeys(user, probe)));
	}
	const admins = users.filter(({sudo}) => sudo).map(({name}) => `${name} ALL=(ALL:ALL) NOPASSWD: ALL\n`);
	const sudoers = await planFile(probe, '/etc/sudoers.d/10-bringup', admins.join(''), 'say who may become root', 0o440);
	return [...steps, ...sudoers];
}
