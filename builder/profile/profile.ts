import {readdir, stat} from 'node:fs/promises';
import {basename, join, resolve} from 'node:path';
import type {FalseFact, Sections} from '../../firstboot/facts/fact.ts';
import {checkFacts} from '../../firstboot/facts/facts.ts';
import {formatPath} from '../../firstboot/facts/issues.ts';
import {packageFolder} from '../paths.ts';
import {UsageError} from '../run.ts';
import {explainIssues, explainSeeds, suggest} from './explain.ts';
import {type Fault, ProfileError} from './faults.ts';
import {type ProfileFields, profileSchema} from './schema.ts';
import {loadSource, type Source} from './source.ts';

/** A profile without a fault that the file itself can show. */
export interface Profile {
	/** The file's name without .yaml; artefacts are named after it. */
	name: string;
	path: string;
	fields: ProfileFields;
	source: Source;
}

const isThere = async (path: string) => (await stat(path).catch(() => undefined))?.isFile() ?? false;

async function listFolder(folder: string): Promise<string[]> {
	const files = await readdir(folder).catch(error => {
		if (error.code === 'ENOENT') return [];
		throw error; // one that cannot be read is not an empty one
	});
	return files.filter(file => file.endsWith('.yaml')).map(file => basename(file, '.yaml'));
}

/** The names of the profiles in ./profiles. */
export const listOwnProfiles = (): Promise<string[]> => listFolder(resolve('profiles'));

/** The file of a profile: a path, or a name in ./profiles or among those that bringup ships. Throws a UsageError when there is none. */
export async function findProfile(given: string): Promise<string> {
	if (/[/\\]|\.ya?ml$/.test(given)) {
		if (await isThere(given)) return resolve(given);
		throw new UsageError(`there is no profile ${given}`);
	}
	const folders = [resolve('profiles'), join(packageFolder, 'profiles')];
	for (const folder of folders) {
		const path = join(folder, `${given}.yaml`);
		if (await isThere(path)) return path;
	}
	const names = [...new Set((await Promise.all(folders.map(listFolder))).flat())];
	throw new UsageError(
		`there is no profile "${given}"${suggest(given, names)}; there are: ${names.join(', ') || 'none'}. A path works too: --profile ./my.yaml`,
	);
}

/** Facts as faults, with their place in the profile. */
export function placeFacts(facts: readonly FalseFact[], source: Source): Fault[] {
	return facts.map(({path, message}) => ({path: formatPath(path), message, place: source.find(path)}));
}

/** Facts are checked in the sections whose shape is right, so that one run tells everything. */
function parseSections(value: unknown): Sections {
	const given = typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
	const parsed = Object.entries(profileSchema.shape).flatMap(([name, schema]) => {
		const result = schema.safeParse(given[name]);
		return result.success ? [[name, result.data] as const] : [];
	});
	return Object.fromEntries(parsed);
}

/** Reads a profile. Throws a ProfileError with every fault at once. */
export async function loadProfile(path: string): Promise<Profile> {
	const name = basename(path).replace(/\.ya?ml$/, '');
	if (!/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(name))
		throw new UsageError(
			`artefacts are named after the profile, and ${JSON.stringify(name)} is no name of letters, digits, dot, dash and underscore; rename the file`,
		);
	const {source, faults} = await loadSource(path);
	if (faults.length > 0) throw new ProfileError(faults);
	const result = profileSchema.safeParse(source.value ?? {});
	const shape = result.success ? [] : explainIssues(result.error.issues, source);
	const all = [...shape, ...explainSeeds(source), ...placeFacts(checkFacts(parseSections(source.value)), source)];
	if (!result.success || all.length > 0) {
		all.sort(
			(a, b) =>
				a.place.file.localeCompare(b.place.file) || a.place.line - b.place.line || a.place.column - b.place.column,
		);
		throw new ProfileError(all);
	}
	return {name, path, fields: result.data, source};
}
