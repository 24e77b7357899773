import {resolve} from 'node:path';
import {type PlacedAsset, readAssets} from '../build/assets.ts';
import {readSecrets, type Secrets} from '../build/medium.ts';
import {type CompleteProfile, completeProfile, listAutoUsers} from '../profile/complete.ts';
import {type Fault, IncompleteError, ProfileError} from '../profile/faults.ts';
import {findPlaceholders} from '../profile/placeholders.ts';
import {findProfile, loadProfile, type Profile, placeFacts} from '../profile/profile.ts';
import {UsageError} from '../run.ts';
import {formatKey, readDebianMirror, readMirrors, readOwnKeys, readPairedKey} from '../workstation.ts';

/** What a command gets from the process. */
export interface Surroundings {
	signal: AbortSignal;
	environment: Readonly<Record<string, string | undefined>>;
	out: NodeJS.WriteStream;
	err: NodeJS.WriteStream;
}

export interface CliCommand {
	summary: string;
	help: string;
	/** Gives the exit code where it is not 0. */
	run(argv: readonly string[], surroundings: Surroundings): Promise<number | undefined>;
}

export interface Loaded {
	profile: CompleteProfile;
	secrets: Secrets;
	assets: readonly PlacedAsset[];
	/** Whether the build must make a key pair, because the profile asks for one and the user has none. */
	needsKey: boolean;
	/** Who is let in by keys of this workstation, and by which. */
	letIn: readonly string[];
}

/** Where the ISO of a profile goes when nothing is said. */
export const defaultIso = (profile: Pick<Profile, 'name'>) => resolve('out', `${profile.name}.iso`);

interface Found extends Loaded {
	/** What the build needs and does not find here: values of secrets, files of assets. */
	missing: Fault[];
}

async function find(name: string | undefined, {environment}: Surroundings, out: string | undefined): Promise<Found> {
	if (name === undefined) throw new UsageError('which profile? Say --profile NAME, such as --profile node');
	const profile = await loadProfile(await findProfile(name));
	const needsMirror = profile.fields.debian.mirror === undefined;
	const mirrors = needsMirror ? await readMirrors() : {mirror: undefined, securityMirror: undefined};
	const users = listAutoUsers(profile);
	const own = users.length > 0 ? await readOwnKeys(environment) : [];
	const sshKeys = own.length > 0 ? own : await readPairedKey(out ?? defaultIso(profile));
	const complete = completeProfile(profile, {
		...mirrors,
		debianMirror: await readDebianMirror(environment['PATH'] ?? ''),
		sshKeys,
	});
	const {secrets, ...ofSecrets} = await readSecrets(profile, environment);
	if (Array.isArray(complete)) {
		const facts = [...complete, ...ofSecrets.faults, ...ofSecrets.missing];
		throw new ProfileError(placeFacts(facts, profile.source));
	}
	const {assets, ...read} = await readAssets(complete);
	const faults = [...ofSecrets.faults, ...read.faults];
	const missing = placeFacts([...ofSecrets.missing, ...read.missing], profile.source);
	if (faults.length > 0) throw new ProfileError([...placeFacts(faults, profile.source), ...missing]);
	const letIn = users.length > 0 ? sshKeys.map(key => `${users.join(', ')} may log in with ${formatKey(key)}`) : [];
	const needsKey = users.length > 0 && sshKeys.length === 0;
	return {profile: read.profile, secrets, assets, letIn, needsKey, missing};
}

/** Loads a profile and fills in what it leaves to this workstation. Throws a ProfileError with every fault at once. */
export async function load(name: string | undefined, surroundings: Surroundings, out?: string): Promise<Loaded> {
	const {missing, ...loaded} = await find(name, surroundings, out);
	if (missing.length > 0) throw new ProfileError(missing);
	return loaded;
}

/** Loads a profile for who only looks at it: values of secrets and files of assets may be missing here, which is said. */
export async function look(name: string | undefined, surroundings: Surroundings): Promise<Loaded> {
	const {missing, ...loaded} = await find(name, surroundings, undefined);
	for (const {path, message} of missing) surroundings.err.write(`the build will need ${path}: ${message}\n`);
	return loaded;
}

/** Throws an IncompleteError where the profile has values of an example. */
export function refuseExamples({fields, source}: Pick<Profile, 'fields' | 'source'>): void {
	const found = findPlaceholders(fields);
	if (found.length > 0) throw new IncompleteError(placeFacts(found, source));
}

export const noteKey = 'no SSH key yet: build-iso makes a pair beside the ISO, because ~/.ssh has none\n';
