import {createHash} from 'node:crypto';
import {mkdir, readdir, readFile, rm} from 'node:fs/promises';
import {join} from 'node:path';
import {isFullDisk, touch} from '../folder.ts';
import {awaitLock, ProgramError, runLong, UserError} from '../run.ts';
import {apt, type Debian, explainDownload, formatSource, formatSources, makeAptFolder, placeKeys} from './apt.ts';
import {digestFile, digestOf} from './cache.ts';
import {type Mac, readOwn, writeOwn} from './mac.ts';

const maximumAge = 24 * 3600 * 1000;

/** How long an archive that did not answer is left alone, in milliseconds. */
const silence = 3600 * 1000;

/** The archive's package lists, in a folder of our own: the workstation's apt is not touched. */
export interface Index {
	folder: string;
	debian: Debian;
	/** Of the signed release files: the same digest, the same archive. */
	digest: string;
	/** The newest release file's own date, in seconds since 1970; of a lock, the one that it pins. */
	epoch: number;
	/** Whether a lock says which packages, and not the archive's lists. */
	locked?: boolean;
	/** Of a lock there is none: no list is read. */
	mac?: Mac;
}

export interface IndexOptions {
	cache: string;
	mac: Mac;
	/** Ask the archive even if the lists are young. */
	refresh?: boolean;
	say: (line: string) => void;
	signal?: AbortSignal | undefined;
}

/** What is known of lists whose signatures apt has checked when it fetched them; later it does not look again. */
interface Checked {
	/** Digest of the release files. */
	release: string;
	/** Digest of all lists. */
	lists: string;
	/** When the archive was asked, and when it last did not answer; in milliseconds since 1970. */
	asked: number;
	silent?: number;
}

async function readRelease(folder: string, count: number): Promise<{digest: string; epoch: number} | undefined> {
	const lists = await readdir(join(folder, 'lists')).catch(() => []);
	const names = lists.filter(name => name.endsWith('_InRelease')).sort();
	if (names.length < count) return undefined;
	const releases = await Promise.all(names.map(name => readFile(join(folder, 'lists', name), 'utf8')));
	const dates = releases.map(text => Date.parse(/^Date: (.*)$/m.exec(text)?.[1] ?? ''));
	const hash = createHash('sha256');
	for (const text of releases) hash.update(text);
	return {digest: hash.digest('hex'), epoch: Math.floor(Math.max(...dates) / 1000)};
}

async function digestLists(folder: string): Promise<string> {
	const entries = await readdir(join(folder, 'lists'), {withFileTypes: true});
	const names = entries.filter(entry => entry.isFile() && entry.name !== 'lock').map(({name}) => name);
	return digestOf(
		await Promise.all(names.sort().map(async name => [name, await digestFile(join(folder, 'lists', name))])),
	);
}

const checkedPath = ({folder}: {folder: string}) => join(folder, 'checked.json');

/** Asks the archive for new lists. Gives false when it does not answer and there are old ones. */
async function updateLists(
	index: Pick<Index, 'folder' | 'debian'>,
	old: boolean,
	{say, signal, refresh}: IndexOptions,
): Promise<boolean> {
	const {command, env} = apt(index, 'apt-get', 'update', '--quiet', '--error-on=any');
	try {
		await runLong(command, {env, signal});
		return true;
	} catch (error) {
		if (!(error instanceof ProgramError) || signal?.aborted || isFullDisk(error)) throw error;
		if (!/^(E|Err):/m.test(error.output)) throw error;
		if (!old || refresh) throw new UserError(explainDownload(error, index.debian.mirror), {cause: error});
		say('the archive gives no new package lists; going on with those from before');
		return false;
	}
}

async function open(debian: Debian, sources: string, options: IndexOptions): Promise<Index> {
	const {cache, mac, refresh, signal} = options;
	const count = sources.trimEnd().split('\n').length;
	const folder = await makeAptFolder(debian, sources, cache);
	const stamp = checkedPath({folder});
	/** The lists that this user's apt has checked; none where somebody else put them there. */
	const find = async () => {
		const [checked, release] = [await readOwn<Checked>(stamp, mac), await readRelease(folder, count)];
		return checked !== undefined && checked.release === release?.digest ? {checked, release} : undefined;
	};
	const isYoung = ({checked}: {checked: Checked}) =>
		Date.now() - checked.asked < maximumAge || Date.now() - (checked.silent ?? 0) < silence;
	const began = Date.now();
	let found = await find();
	if (!found || refresh || !isYoung(found)) {
		await awaitLock(`${folder}/update.lock`, {...(signal ? {signal} : {})}, async () => {
			found = await find();
			if (found && (found.checked.asked > began || (!refresh && isYoung(found)))) return; // another build has asked
			if (!found) await rm(join(folder, 'lists'), {recursive: true, force: true});
			await mkdir(join(folder, 'lists/partial'), {recursive: true});
			const answered = await updateLists({folder, debian}, found !== undefined, options);
			const release = await readRelease(folder, count);
			if (!release) return;
			const checked: Checked =
				answered || !found
					? {release: release.digest, lists: await digestLists(folder), asked: Date.now()}
					: {...found.checked, silent: Date.now()};
			await writeOwn(stamp, checked, mac);
			found = {checked, release};
		});
	}
	if (!found)
		throw new UserError(
			`the archive at ${debian.mirror} gave no signed release file for ${debian.release}, its updates and its security updates`,
		);
	await touch(folder);
	return {folder, debian, ...found.release, mac};
}

const trusted = new WeakMap<Index, Promise<void>>();

/** Checks, once, that the lists which apt reads now are those whose signatures it has checked. Throws a UserError where they are not. */
export function trustLists(index: Index): Promise<void> {
	const {mac, folder} = index;
	if (mac === undefined) return Promise.resolve();
	const check = async () => {
		const right = await awaitLock(`${folder}/update.lock`, {}, async () => {
			// What apt has made of the lists it would believe too.
			for (const name of ['pkgcache.bin', 'srcpkgcache.bin']) await rm(join(folder, name), {force: true});
			const checked = await readOwn<Checked>(checkedPath(index), mac);
			return checked !== undefined && checked.lists === (await digestLists(folder));
		});
		if (right) return;
		await rm(checkedPath(index), {force: true});
		throw new UserError(`the package lists in ${folder} are not those that the archive signed; run this again`);
	};
	const known = trusted.get(index) ?? check();
	trusted.set(index, known);
	return known;
}

/** Opens the package lists of the profile's Debian; asks the archive when they are older than a day. Throws a UserError when there are none to be had. */
export async function openIndex(debian: Debian, options: IndexOptions): Promise<Index> {
	return open(debian, formatSources(await placeKeys(debian, options.cache)), options);
}

/** An index of what a lock pins: the archive's lists are not asked. */
export async function openLocked(debian: Debian, digest: string, epoch: number, cache: string): Promise<Index> {
	const sources = formatSources(await placeKeys(debian, cache));
	return {folder: await makeAptFolder(debian, sources, cache), debian, digest, epoch, locked: true};
}

/** The same of debian-installer's own packages, which are in the release alone. */
export async function openInstallerIndex(debian: Debian, options: IndexOptions): Promise<Index> {
	return open(debian, formatSource(debian.mirror, debian.release, 'main/debian-installer'), options);
}
