import {createHash} from 'node:crypto';
import {join} from 'node:path';
import type {FalseFact} from '../../firstboot/facts/fact.ts';
import {isFullDisk} from '../folder.ts';
import {suggest} from '../profile/explain.ts';
import {type Command, ProgramError, run, runLong, UserError} from '../run.ts';
import {apt, explainDownload} from './apt.ts';
import {type Index, type IndexOptions, trustLists} from './lists.ts';
import {readOwn, writeOwn} from './mac.ts';
import {fetchPoolFiles, readField} from './pool-files.ts';

/** One package as the archive's signed index has it. */
export interface Package {
	name: string;
	version: string;
	architecture: string;
	/** In bytes. */
	size: number;
	sha256: string;
	/** Its file name in the download cache. */
	file: string;
	/** The archive's own stanza, whose priorities come from overrides. */
	stanza: string;
}

/** Every stanza of the lists. */
export async function readStanzas(index: Index): Promise<string[]> {
	await trustLists(index);
	const {command, env} = apt(index, 'apt-cache', 'dumpavail');
	return (await run(command, {env})).split('\n\n').filter(stanza => stanza.trim() !== '');
}

/** The stanza of the newest version of a package. */
export async function readNewest(index: Index, name: string): Promise<string> {
	await trustLists(index);
	const {command, env} = apt(index, 'apt-cache', 'show', '--no-all-versions', name);
	return (await run(command, {env})).trim();
}

/** The names of debian.packages that the release does not have, as faults. */
export async function checkPackages(index: Index, names: readonly string[]): Promise<FalseFact[]> {
	if (names.length === 0) return [];
	await trustLists(index);
	const {command, env} = apt(index, 'apt-cache', 'pkgnames');
	const known = (await run(command, {env})).split('\n');
	const there = new Set(known);
	return names.flatMap((name, position) => {
		if (there.has(name)) return [];
		const near = suggest(
			name,
			known.filter(candidate => Math.abs(candidate.length - name.length) <= 2 && candidate[0] === name[0]),
		);
		const message = `Debian ${index.debian.release} has no package ${name} in ${index.debian.components.join(', ')}${near}`;
		return [{path: ['debian', 'packages', position], message}];
	});
}

/** A package from its stanza. */
export function parseStanza(stanza: string): Package {
	const field = (name: string) => new RegExp(`^${name}: (.*)$`, 'm').exec(stanza)?.[1] ?? '';
	const [name, version, architecture] = [field('Package'), field('Version'), field('Architecture')];
	const file = `${name}_${version.replaceAll(':', '%3a')}_${architecture}.deb`;
	return {name, version, architecture, size: Number(field('Size')), sha256: field('SHA256'), file, stanza};
}

const everything = ['?essential', '?priority(required)', 'apt'];

async function solve(index: Index, names: readonly string[]): Promise<Package[]> {
	await trustLists(index);
	// apt leaves out what is in its archive folder already, so here it gets one that is not there.
	const all = [
		'-o',
		`Dir::Cache::archives=${join(index.folder, 'none')}/`,
		'--yes',
		'--quiet',
		...everything,
		...names,
	];
	const install = apt(index, 'apt-get', 'install', '--print-uris', ...all);
	const uris = await run(install.command, {env: install.env}).catch(error => {
		if (!(error instanceof ProgramError)) throw error;
		throw new UserError(`apt finds no way to install this set of packages:\n${error.output.trim()}`, {cause: error});
	});
	const chosen = [...uris.matchAll(/^'[^']+' ([^ ]+)_([^ _]+)_[^ _]+\.deb /gm)].map(
		([, name, version]) => `${name}=${version?.replaceAll('%3a', ':')}`,
	);
	const show = apt(index, 'apt-cache', 'show', ...chosen.sort());
	const stanzas = (await run(show.command, {env: show.env})).split('\n\n').filter(stanza => stanza.trim() !== '');
	const packages = stanzas.map(stanza => parseStanza(stanza.trim()));
	return [...new Map(packages.map(item => [item.file, item])).values()];
}

/** The packages of a base system with these, and all that they depend on, with versions and digests. Solved once for an archive state. */
export async function resolvePackages(index: Index, names: readonly string[]): Promise<Package[]> {
	const key = createHash('sha256')
		.update(JSON.stringify(['solved 2', index.digest, everything, names]))
		.digest('hex')
		.slice(0, 16);
	const path = join(index.folder, `solved-${key}.json`);
	const known = index.mac && (await readOwn<Package[]>(path, index.mac));
	if (known) return known;
	const packages = await solve(index, names);
	if (index.mac) await writeOwn(path, packages, index.mac);
	return packages;
}

/** Downloads what a lock pins and the cache lacks: from the mirrors, then from the snapshots. */
async function downloadLocked(index: Index, packages: readonly Package[], options: IndexOptions): Promise<void> {
	const {mirror, securityMirror, snapshots, archives} = index.debian;
	const sources = [mirror, securityMirror, ...Object.values(archives).map(({uri}) => uri), ...snapshots];
	let missing = packages.map(({stanza, sha256, file}) => ({file: readField(stanza, 'Filename'), sha256, as: file}));
	for (const source of sources) {
		if (missing.length > 0) missing = await fetchPoolFiles(index, missing, {...options, mirror: source});
	}
	if (missing.length === 0) return;
	throw new UserError(
		[
			`of what the lock pins, neither the cache nor ${sources.join(', ')} has`,
			...missing.map(({as, sha256}) => `  ${as}, SHA-256 ${sha256}`),
			'Name an archive that keeps old versions (debian.snapshots), or make the lock anew: bringup lock',
		].join('\n'),
	);
}

/** Downloads what the cache lacks; it is shared by all builds. Throws a UserError that names the package and the remedy. */
export async function downloadPackages(
	index: Index,
	packages: readonly Package[],
	options: IndexOptions,
): Promise<void> {
	if (index.locked) return downloadLocked(index, packages, options);
	await trustLists(index);
	const exact = packages.map(({name, version}) => `${name}=${version}`);
	const archives = join(options.cache, 'packages');
	const command: Command = [
		'flock',
		'--no-fork',
		join(archives, 'bringup-lock'),
		'apt-get',
		'install',
		'--download-only',
		'--yes',
		'--quiet',
		...exact,
	];
	try {
		await runLong(command, {env: {APT_CONFIG: join(index.folder, 'apt.conf')}, signal: options.signal});
	} catch (error) {
		if (!(error instanceof ProgramError) || options.signal?.aborted || isFullDisk(error)) throw error;
		if (!/Failed to fetch|Unable to fetch|Could not/.test(error.output)) throw error;
		throw new UserError(explainDownload(error, index.debian.mirror), {cause: error});
	}
}
