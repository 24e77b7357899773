import {planOwned} from '../owned.ts';
import {ofPart, type Phase, type Probe, planFile, planParts, readUnit, type Step} from '../phase.ts';
import {findMissingImages, planImages, planNoSecrets, planSecrets, userPodman} from '../podman.ts';
import {type ContainerUser, type containersSchema, formatUnits, quadletFolder} from '../quadlet.ts';
import {type Numbered, planRanges} from '../subids.ts';
import {findOutdated, findUnits, planStop, planUnits} from '../units.ts';

type User = Numbered & ContainerUser;
type Lines = readonly string[][];

function checkNumber({name, uid}: Numbered, what: 'user' | 'group', lines: Lines): void {
	const id = String(uid);
	const other = lines.find(line => (line[0] === name) !== (line[2] === id));
	if (other)
		throw new Error(
			`containers.users.${name}.uid is ${id}, but there is a ${what} ${other[0]} with the number ${other[2]}; take another name or number`,
		);
}

async function readLines(probe: Probe, path: string): Promise<Lines> {
	const text = await probe.read(path);
	if (text === undefined) throw new Error(`${path} is missing`);
	return text.split('\n').map(line => line.split(':'));
}

/** An account that nobody logs in to, whose number is the profile's. */
async function planAccounts(users: readonly User[], probe: Probe): Promise<{fresh: Set<string>; steps: Step[]}> {
	const [passwd, group, shadow] = await Promise.all([
		readLines(probe, '/etc/passwd'),
		readLines(probe, '/etc/group'),
		readLines(probe, '/etc/shadow'),
	]);
	const homes = await probe.list('/home');
	const has = (lines: Lines, name: string) => lines.some(line => line[0] === name);
	const fresh = users.filter(({name}) => !has(passwd, name)).map(({name}) => name);
	const steps = users.flatMap((user): Step[] => {
		const {name, uid} = user;
		checkNumber(user, 'user', passwd);
		checkNumber(user, 'group', group);
		const own: Step[] = [];
		if (!has(group, name))
			own.push({do: 'run', command: ['groupadd', '--gid', String(uid), name], why: `make the group ${name}`});
		if (!has(passwd, name)) {
			const place = ['--home-dir', `/home/${name}`, '--create-home', '--shell', '/usr/sbin/nologin'];
			const command = ['useradd', '--system', '--uid', String(uid), '--gid', name, ...place, name] as const;
			return [...own, {do: 'run', command, why: `make the user ${name}, who logs in nowhere`}];
		}
		// useradd writes several files; a power cut between two of them leaves half an account.
		if (!has(shadow, name)) own.push({do: 'run', command: ['pwconv'], why: `complete the account of ${name}`});
		if (!homes?.has(name))
			own.push({do: 'run', command: ['mkhomedir_helper', name, '0077'], why: `make the home of ${name}`});
		return own;
	});
	return {fresh: new Set(fresh), steps};
}

const dropIn = '/etc/systemd/system/bringup.service.d/10-containers.conf';

/** Users whom the profile had when it was last applied, and has no more: the drop-in still names their managers. */
async function findLeft(users: readonly User[], probe: Probe): Promise<number[]> {
	const named = ((await probe.read(dropIn)) ?? '').matchAll(/\buser@(\d+)\.service\b/g);
	return [...new Set([...named].map(([, uid]) => Number(uid)))].filter(uid => !users.some(user => user.uid === uid));
}

/** The steps that take a user's containers and secrets away. The account, its images and what it has in volumes stay. */
async function planLeft(uid: number, probe: Probe): Promise<Step[]> {
	const unit = `user@${uid}.service`;
	const name = (await readLines(probe, '/etc/passwd')).find(line => line[2] === String(uid))?.[0];
	const who = name ?? String(uid);
	const steps: Step[] = [];
	if (name !== undefined && (await probe.read(`/var/lib/systemd/linger/${name}`)) !== undefined)
		steps.push({
			do: 'run',
			command: ['loginctl', 'disable-linger', name],
			why: `let ${who} run no more without a login`,
		});
	if ((await readUnit(probe, unit)).active)
		steps.push({
			do: 'run',
			command: ['systemctl', 'stop', unit],
			why: `stop the containers of ${who}, who is not in the profile`,
		});
	if ((await probe.list(quadletFolder))?.has(String(uid)))
		steps.push({
			do: 'run',
			command: ['rm', '--recursive', `${quadletFolder}/${uid}`],
			why: `remove the units of ${who}; volumes and images stay in its home`,
		});
	const {left, after} = await planOwned(`secrets-of-${who}`, [], probe);
	if (name !== undefined && left.length > 0) steps.push(planNoSecrets({name, uid}, `remove the secrets of ${who}`));
	return [...steps, ...after];
}

/** Has the users' managers run from boot on, before this service asks them; and the network come up that their containers wait for. */
async function planManagers(users: readonly User[], probe: Probe): Promise<{running: Set<string>; steps: Step[]}> {
	const managers = users.map(({uid}) => `user@${uid}.service`).join(' ');
	const content = `[Unit]\nWants=network-online.target ${managers}\nAfter=${managers}\n`;
	const why = 'have the managers of the container users started at boot';
	const remove: Step = {do: 'run', command: ['rm', dropIn], why: 'have no manager of a container user started at boot'};
	const steps = users.length > 0 ? await planFile(probe, dropIn, content, why) : [remove];
	if (steps.length > 0) steps.push({do: 'run', command: ['systemctl', 'daemon-reload'], why: 'let systemd see it'});
	const running = new Set<string>();
	for (const {name, uid} of users) {
		if ((await probe.read(`/var/lib/systemd/linger/${name}`)) === undefined)
			steps.push({do: 'run', command: ['loginctl', 'enable-linger', name], why: `let ${name} run without a login`});
		const unit = `user@${uid}.service`;
		if ((await readUnit(probe, unit)).active) running.add(name);
		else steps.push({do: 'run', command: ['systemctl', 'start', unit], why: `start the manager of ${name}`});
	}
	return {running, steps};
}

async function planUser(user: User, running: boolean, probe: Probe): Promise<Step[]> {
	const found = await findUnits(user, formatUnits(user), running, probe);
	const images = await findMissingImages(user, user.images, probe);
	const secrets = await planSecrets(user, user.secrets, probe);
	const stop = planStop(user, found, findOutdated(user, found, {images, secrets: []}));
	const outdated = findOutdated(user, found, {images, secrets: secrets.changed});
	return [
		...(await planImages(user, user.images, images, stop, probe)),
		...secrets.steps,
		...planUnits(user, found, outdated),
		...secrets.removal,
	];
}

/** Users without a login, their images, secrets and Quadlet units, run by podman without root. */
export const containers: Phase<typeof containersSchema> = {
	packages: [
		...['podman', 'crun', 'uidmap', 'passt', 'netavark', 'aardvark-dns', 'nftables', 'catatonit', 'ca-certificates'],
		...['dbus-user-session', 'libpam-systemd', 'libpam-modules-bin', 'passwd', 'systemd', 'util-linux'],
	],
	async plan(config, probe) {
		const users = Object.entries(config.users).map(([name, user]) => ({name, ...user}));
		const left = await findLeft(users, probe);
		if (users.length + left.length === 0) return [];
		const gone: Step[] = [];
		for (const uid of left) gone.push(...(await planLeft(uid, probe)));
		const accounts = await planAccounts(users, probe);
		const ranges = await planRanges(users, probe);
		const managers = await planManagers(users, probe);
		const steps = [...gone, ...accounts.steps, ...ranges.steps, ...managers.steps];
		const plan = async (name: string): Promise<Step[]> => {
			const user = users.find(one => one.name === name);
			if (!user) return [];
			const own = await planUser(user, managers.running.has(name), probe);
			if (!ranges.changed.has(name) || accounts.fresh.has(name)) return own;
			const command = userPodman(user, 'system', 'migrate');
			return [{do: 'run', command, why: `have the containers of ${name} take their new ranges`}, ...own];
		};
		// What one user has broken in its home does not keep the containers of others from running.
		return planParts(
			users.map(({name}) => name),
			plan,
			(plans, names) => [...steps, ...plans.flatMap((own, index) => ofPart(names[index], own))],
		);
	},
	absent: probe => containers.plan({users: {}}, probe),
};

/** What of it an image may have: users and their images. No unit has run when it is sealed, so none has written what clones would share. */
export const containerImages: Phase<typeof containersSchema> = {
	...containers,
	plan(config, probe) {
		const users = Object.entries(config.users).map(
			([name, user]) => [name, {...user, units: {}, files: {}, secrets: {}}] as const,
		);
		return containers.plan({users: Object.fromEntries(users)}, probe);
	},
};
