import {assetPath, planAssets} from './assets.ts';
import {planOwned} from './owned.ts';
import {type Command, type Probe, type Step, secretPath} from './phase.ts';
import type {ContainerUser} from './quadlet.ts';
import type {Numbered} from './subids.ts';

/** A program run as the user. Not runuser, which opens a session for each. */
function asUser({name}: Numbered, ...command: string[]): Command {
	return ['setpriv', `--reuid=${name}`, `--regid=${name}`, '--init-groups', ...command];
}

/** systemctl of the user's own manager. */
export function userSystemctl(user: Numbered, ...args: string[]): Command {
	return asUser(user, 'env', `XDG_RUNTIME_DIR=/run/user/${user.uid}`, 'systemctl', '--user', ...args);
}

/**
 * podman as the user, in a unit of the user's manager: it leaves a process behind that holds the user's namespace, which
 * in a service of the system would end with that.
 */
export function userPodman(user: Numbered, ...args: string[]): Command {
	const unit = ['systemd-run', '--user', '--quiet', '--wait', '--pipe', '--collect', 'podman'];
	return asUser(user, 'env', `XDG_RUNTIME_DIR=/run/user/${user.uid}`, ...unit, ...args);
}

const storageOf = ({name}: Numbered) => `/home/${name}/.local/share/containers/storage`;

function parse<T>(text: string | undefined): T | undefined {
	if (text === undefined) return undefined;
	try {
		return JSON.parse(text) as T;
	} catch {
		return undefined;
	}
}

/** The further name of an image that says which archive it is from; given last, when all of it is on the disk. */
function sealOf(name: string, archive: string): string {
	return `${name}-bringup-${archive.slice(archive.lastIndexOf('/') + 1)}`;
}

/** The images that are not in the user's storage as their archives have them. podman is not asked: it takes a second to start. */
export async function findMissingImages(
	user: Numbered,
	images: ContainerUser['images'],
	probe: Probe,
): Promise<string[]> {
	if (Object.keys(images).length === 0) return [];
	const path = `${storageOf(user)}/overlay-images/images.json`;
	const text = await probe.read(path);
	const stored = parse<{names?: string[]}[]>(text);
	if (text !== undefined && stored === undefined)
		throw new Error(`${path} is damaged; remove it (the images are loaded anew) and run: systemctl restart bringup`);
	return Object.entries(images)
		.filter(([name, archive]) => {
			const wanted = [name, sealOf(name, assetPath(archive))];
			return !stored?.some(({names = []}) => wanted.every(one => names.includes(one)));
		})
		.map(([name]) => name);
}

/** The steps that load images from their archives. `stop` makes the units stand still that run with them. */
export async function planImages(
	user: Numbered,
	images: ContainerUser['images'],
	missing: readonly string[],
	stop: readonly Step[],
	probe: Probe,
): Promise<Step[]> {
	const wanted = Object.entries(images).filter(([name]) => missing.includes(name));
	if (wanted.length === 0) return [];
	const fetches = await planAssets(
		wanted.map(([, archive]) => archive),
		probe,
	);
	// podman takes a layer that it has for whole, also one whose files a power cut left empty.
	const used = (await probe.read(`${storageOf(user)}/overlay-layers/layers.json`)) !== undefined;
	const check: Step = {
		do: 'run',
		command: userPodman(user, 'system', 'check', '--quick', '--repair', '--max', '0s'),
		why: `remove what an interrupted load left in the images of ${user.name}`,
	};
	const loads = wanted.flatMap(([name, archive]): Step[] => {
		const path = assetPath(archive);
		const sha256 = path.slice(path.lastIndexOf('/') + 1);
		return [
			{
				do: 'run',
				command: ['sha256sum', '--check'],
				stdin: `${sha256}  ${path}\n`,
				why: `check the archive of ${name}`,
			},
			{
				do: 'run',
				command: userPodman(user, 'load', '--quiet', '--input', path),
				why: `load ${name} for ${user.name}`,
			},
			{do: 'run', command: ['sync', '--file-system', `/home/${user.name}`], why: `make ${name} durable`},
			{
				do: 'run',
				command: userPodman(user, 'tag', name, sealOf(name, path)),
				why: `mark ${name} as loaded; its archive must hold it under this name`,
			},
		];
	});
	return [...fetches, ...(used ? [...stop, check] : []), ...loads];
}

/** The files in which podman keeps a user's secrets. */
function listSecretFiles(user: Numbered): readonly [string, string] {
	const folder = `${storageOf(user)}/secrets`;
	return [`${folder}/secrets.json`, `${folder}/filedriver/secretsdata.json`];
}

/** The step that removes all of a user's secrets, done as that user: what stands in a home may lead anywhere. */
export function planNoSecrets(user: Numbered, why: string): Step {
	return {do: 'run', command: asUser(user, 'rm', '--force', ...listSecretFiles(user)), why};
}

/** What happens to the secrets of a user. */
export interface SecretsPlan {
	/** The names of those that change. */
	changed: string[];
	steps: Step[];
	/** Steps that remove those that left the profile, for when no unit uses them any more. */
	removal: Step[];
}

/** The steps to the user's podman secrets. One that neither the profile names nor bringup has made is left alone. */
export async function planSecrets(
	user: Numbered,
	secrets: ContainerUser['secrets'],
	probe: Probe,
): Promise<SecretsPlan> {
	const wanted = Object.entries(secrets);
	const owned = await planOwned(`secrets-of-${user.name}`, Object.keys(secrets), probe);
	if (wanted.length + owned.left.length === 0) return {changed: [], steps: [], removal: []};
	const texts = await Promise.all(listSecretFiles(user).map(path => probe.read(path)));
	const ids = parse<{nameToID?: Record<string, string>}>(texts[0]);
	const data = parse<Record<string, string>>(texts[1]);
	const damaged = (texts[0] !== undefined && !ids) || (texts[1] !== undefined && !data);
	const steps: Step[] = [];
	const changed: string[] = [];
	for (const [name, secret] of wanted) {
		const path = secretPath(secret);
		const value = (await probe.read(path))?.replace(/\n$/, '');
		if (!value) throw new Error(`the secret ${name} of ${user.name} is not in ${path}; build the medium again`);
		const stored = damaged ? undefined : data?.[ids?.nameToID?.[name] ?? ''];
		if (stored === Buffer.from(value).toString('base64')) continue;
		changed.push(name);
		// podman reads a secret from a pipe or a file, and what it gets here is a socket; /run is in memory.
		const file = `/run/user/${user.uid}/bringup-secret`;
		const dd = asUser(user, 'dd', `of=${file}`, 'status=none');
		const command = userPodman(user, 'secret', 'create', '--replace', name, file);
		steps.push(
			{do: 'run', command: dd, stdin: value, why: `hand ${user.name} the secret ${name}`},
			{do: 'run', command, why: `store the secret ${name} of ${user.name}`},
			{do: 'run', command: asUser(user, 'rm', '--force', file), why: 'remove the copy in memory'},
		);
	}
	if (steps.length > 0)
		steps.push({do: 'run', command: ['sync', '--file-system', `/home/${user.name}`], why: 'make it durable'});
	// podman writes them in place: a power cut can leave them empty, and podman then refuses every secret.
	if (damaged) steps.unshift(planNoSecrets(user, `remove the damaged secrets of ${user.name}`));
	const removal = owned.left
		.filter(name => !damaged && ids?.nameToID?.[name] !== undefined)
		.map((name): Step => {
			const command = userPodman(user, 'secret', 'rm', name);
			return {do: 'run', command, why: `remove the secret ${name} of ${user.name}, which is not in the profile`};
		});
	return {changed, steps: [...owned.before, ...steps], removal: [...removal, ...owned.after]};
}
