import * as z from 'zod';
import {
	formatMade,
	keysFolder,
	type Made,
	planMade,
	planNoGroups,
	planOpen,
	planShut,
	readDatabase,
	readMade,
} from './accounts.ts';
import {sudoersPath} from './administrators.ts';
import {type Probe, planFile, type Step, secret, secretPath} from './phase.ts';
import {planUserRanges} from './subids.ts';

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
		.describe(
			"public keys, one a line; `auto` takes the builder's own (~/.ssh/id_*.pub and the agent's; the build says which), or makes a pair beside the ISO",
		),
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
				/^(?!-)([a-z0-9-]|\{serial\}|\{mac\})+(?<!-)$/,
				'expected a host name of lower case letters and digits, with - only between them; {serial} and {mac} may stand in it',
			)
			.optional()
			.describe(
				'a name, or a pattern: `{serial}` is the serial number that the firmware reports, `{mac}` a MAC address; only a golden image has none',
			),
		locale: z
			.string()
			.regex(/^[A-Za-z][\w.@-]*$/, 'expected a locale such as C.UTF-8 or de_DE.UTF-8')
			.default('C.UTF-8')
			.describe('in UTF-8, as /usr/share/i18n/SUPPORTED of Debian’s package locales has it'),
		timezone: z
			.string()
			.regex(/^[A-Za-z0-9_+-]+(\/[A-Za-z0-9_+-]+)*$/, 'expected a time zone such as Etc/UTC or Europe/Berlin')
			.default('Etc/UTC')
			.describe('as Debian’s package tzdata has it; an old name such as US/Eastern needs the package tzdata-legacy'),
		users: z
			.array(userSchema)
			.default([])
			.describe(
				'who may log in, over SSH and by key only; in a golden image, whoever may into each of its clones. Who is taken out of the profile is shut out: keys, sudo and password go, the account and its home stay',
			),
	})
	.describe('Who the machine is, and who may log in.');

export type User = z.output<typeof userSchema>;

/** The groups that a user is given. */
const listGroups = (user: User) => [...(user.sudo ? ['sudo'] : []), ...user.groups];

/** Into the groups of the profile, and out of those that an earlier one gave; without `sudo` out of that group, whoever gave it. */
function planGroups(user: User, given: readonly string[], groups: readonly string[][]): Step[] {
	const wanted = listGroups(user);
	const unwanted = [...new Set([...(user.sudo ? [] : ['sudo']), ...given])].filter(name => !wanted.includes(name));
	const out = planNoGroups(user.name, unwanted, groups);
	const missing = wanted.filter(
		name =>
			!groups
				.find(([group]) => group === name)?.[3]
				?.split(',')
				.includes(user.name),
	);
	if (missing.length === 0) return out;
	const command = ['usermod', '--append', '--groups', missing.join(','), user.name] as const;
	return [{do: 'run', command, why: `put ${user.name} into ${missing.join(', ')}`}, ...out];
}

async function planPassword(user: User, given: boolean, shadow: readonly string[][], probe: Probe): Promise<Step[]> {
	const found = shadow.find(([name]) => name === user.name)?.[1];
	if (!user.password) {
		if (!given || found === undefined || found === '*') return [];
		const command = ['usermod', '--password', '*', user.name] as const;
		return [{do: 'run', command, why: `remove the console password of ${user.name}`}];
	}
	const path = secretPath(user.password);
	const hash = (await probe.read(path))?.trim();
	if (!hash) throw new Error(`the password hash of ${user.name} is not in ${path}; build the medium again`);
	if (found === hash) return [];
	return [
		{
			do: 'run',
			command: ['chpasswd', '--encrypted'],
			stdin: `${user.name}:${hash}\n`,
			why: `set the console password of ${user.name}`,
		},
	];
}

async function planAccount(user: User, made: Made[string] | undefined, probe: Probe): Promise<Step[]> {
	const [passwd, group, shadow] = await Promise.all([
		readDatabase(probe, 'passwd'),
		readDatabase(probe, 'group'),
		readDatabase(probe, 'shadow'),
	]);
	const account = passwd.find(([name]) => name === user.name);
	const steps: Step[] = [];
	if (!account) {
		const own = ['--create-home', '--shell', '/bin/bash', '--password', '*', user.name] as const;
		// useradd writes the ranges last. A power cut in between would lose them, so planUsers writes them first.
		const command = ['useradd', '--key', 'SUB_UID_COUNT=0', '--key', 'SUB_GID_COUNT=0', ...own] as const;
		steps.push({do: 'run', command, why: `make the user ${user.name}`});
	} else {
		// useradd writes several files; a power cut between two of them leaves half an account.
		if (!group.some(([, , number]) => number === account[3])) {
			const command = ['groupadd', '--gid', account[3] ?? '', user.name] as const;
			steps.push({do: 'run', command, why: `complete the group of ${user.name}`});
		}
		if (!shadow.some(([name]) => name === user.name))
			steps.push({do: 'run', command: ['pwconv'], why: `complete the account of ${user.name}`});
		if ((await probe.list('/home'))?.get(user.name)?.type !== 'd') {
			steps.push({do: 'run', command: ['mkhomedir_helper', user.name], why: `make the home of ${user.name}`});
		}
	}
	const {groups = [], password = false, shut = false} = made ?? {};
	if (shut) steps.push(...planOpen(user.name, shadow));
	return [...steps, ...planGroups(user, groups, group), ...(await planPassword(user, password, shadow, probe))];
}

async function planKeys(user: User, probe: Probe): Promise<Step[]> {
	if (user.sshKeys === 'auto')
		throw new Error(`the keys of ${user.name} were not put in by the build; build the medium again`);
	const content = `${user.sshKeys.join('\n')}\n`;
	return planFile(probe, `${keysFolder}/${user.name}`, content, `let ${user.name} in by SSH key`);
}

/** Whether the accounts can be made here. Throws with the remedy; the medium asks this before anything is erased. */
export async function checkAccounts(users: readonly User[], probe: Probe): Promise<void> {
	const [passwd, group] = await Promise.all([readDatabase(probe, 'passwd'), readDatabase(probe, 'group')]);
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

/** What the users of the profile are given. */
function listGiven(users: readonly User[]): Made {
	return Object.fromEntries(
		users.map(user => [user.name, {groups: listGroups(user), password: user.password !== undefined, shut: false}]),
	);
}

/** All that was given or will be: whatever moment the power is cut at, what was given is on record. */
function unite(made: Made, given: Made): Made {
	const names = [...new Set([...Object.keys(made), ...Object.keys(given)])];
	return Object.fromEntries(
		names.map(name => {
			const {groups = [], password = false, shut = false} = made[name] ?? {};
			const more = given[name] ?? {groups: [], password: false};
			return [name, {groups: [...new Set([...groups, ...more.groups])], password: password || more.password, shut}];
		}),
	);
}

/**
 * The steps to the users as the profile has them: accounts, keys, groups, passwords, sudo. What an earlier profile gave and
 * this one does not is taken away; users and groups that bringup did not make are left alone.
 */
export async function planUsers(users: readonly User[], probe: Probe): Promise<Step[]> {
	const made = await readMade(probe);
	const given = listGiven(users);
	const united = unite(made, given);
	const steps = await planMade(probe, united, 'note who is given what');
	const passwd = await readDatabase(probe, 'passwd');
	const fresh = users.map(({name}) => name).filter(name => !passwd.some(([other]) => other === name));
	if (fresh.length > 0) steps.push(...(await planUserRanges(fresh, probe)));
	for (const user of users) {
		steps.push(...(await planAccount(user, made[user.name], probe)), ...(await planKeys(user, probe)));
	}
	const admins = users.filter(({sudo}) => sudo).map(({name}) => `${name} ALL=(ALL:ALL) NOPASSWD: ALL\n`);
	steps.push(...(await planFile(probe, sudoersPath, admins.join(''), 'say who may become root', 0o440)));
	const gone = Object.entries(made).filter(([name]) => !(name in given));
	for (const [name, was] of gone) if (!was.shut) steps.push(...(await planShut(name, was, probe)));
	const shut = gone.map(([name, {password}]): [string, Made[string]] => [name, {groups: [], password, shut: true}]);
	const after = {...given, ...Object.fromEntries(shut)};
	if (formatMade(after) !== formatMade(united)) steps.push(...(await planMade(probe, after, 'note who has what')));
	return steps;
}
