import {constants} from 'node:fs';
import {chmod, copyFile, mkdir, rm, stat, utimes} from 'node:fs/promises';
import {dirname, join, resolve} from 'node:path';
import type {FalseFact} from '../../firstboot/facts/fact.ts';
import {findMarked} from '../../firstboot/facts/marked.ts';
import {type Asset, assetsFolder} from '../../firstboot/sequence.ts';
import {isFullDisk, touch} from '../folder.ts';
import type {CompleteProfile} from '../profile/complete.ts';
import {run, UserError} from '../run.ts';
import {digestFile, digestOf, discardEntry, fetchEntry} from './cache.ts';
import {fetchFile, RefusedError} from './fetch.ts';
import {type Mac, readOwn, writeOwn} from './mac.ts';
import {readMaker} from './maker.ts';

/** An asset and where the build has it from. */
export interface PlacedAsset {
	sha256: string;
	from: {file: string} | {url: string; delivery: 'auto' | 'embedded' | 'machine'};
}

/** The profile with every asset's digest filled in; and its assets. Of its files, those that are missing, and those that are not the ones pinned. */
export async function readAssets(
	profile: CompleteProfile,
): Promise<{profile: CompleteProfile; assets: PlacedAsset[]; missing: FalseFact[]; faults: FalseFact[]}> {
	const fields = structuredClone(profile.fields);
	const assets = new Map<string, PlacedAsset>();
	const missing: FalseFact[] = [];
	const faults: FalseFact[] = [];
	for (const {path, value} of findMarked('asset', fields)) {
		const {asset} = value as Asset;
		if ('url' in asset) {
			assets.set(asset.sha256, {sha256: asset.sha256, from: asset});
			continue;
		}
		const place = [...path, 'asset'];
		const file = resolve(profile.source.folderOf(place), asset.file);
		const found = await stat(file).catch(() => undefined);
		if (!found?.isFile()) {
			missing.push({path: place, message: `there is no file ${file}`});
			continue;
		}
		const sha256 = await digestFile(file);
		if (asset.sha256 !== undefined && asset.sha256 !== sha256)
			faults.push({path: place, message: `${file} has the SHA-256 ${sha256}, and ${asset.sha256} is pinned`});
		asset.sha256 = sha256;
		assets.set(sha256, {sha256, from: {file}});
	}
	return {profile: {...profile, fields}, assets: [...assets.values()], missing, faults};
}

interface AssetOptions {
	cache: string;
	mac: Mac;
	proxy: string | undefined;
	/** Whether a lock pins what is on the medium: then nothing is left to the machine because a host does not answer. */
	locked: boolean;
	/** Ask hosts again that did not answer a while ago. */
	refresh: boolean;
	say: (line: string) => void;
	signal: AbortSignal;
}

/** An asset that the machine fetches itself. */
export interface LeftAsset {
	url: string;
	/** Why the build has not got it, where it wanted to. */
	why: string | undefined;
}

/** The files of the assets on this workstation, by digest; and what is left to the machine. */
export interface FoundAssets {
	files: ReadonlyMap<string, string>;
	left: readonly LeftAsset[];
}

/** How long a host that did not answer is left alone, in milliseconds. */
const silence = 3600 * 1000;

interface Silent {
	at: number;
	why: string;
}

/** The file of an asset from its host. What is in the cache is not read here: who uses it checks it. */
async function obtain(
	url: string,
	{sha256, delivery}: {sha256: string; delivery: 'auto' | 'embedded'},
	options: AssetOptions,
): Promise<string | LeftAsset> {
	const {cache, mac, locked, refresh, signal} = options;
	const path = join(cache, 'assets', sha256);
	if ((await stat(path).catch(() => undefined))?.isFile()) {
		await touch(path);
		return path;
	}
	const {host} = new URL(url);
	const noted = join(cache, 'silent', `${digestOf(host).slice(0, 16)}.json`);
	const isNeeded = delivery === 'embedded' || locked;
	const silent = isNeeded || refresh ? undefined : await readOwn<Silent>(noted, mac);
	if (silent && Math.abs(Date.now() - silent.at) < silence)
		return {url, why: `${silent.why} (at ${new Date(silent.at).toISOString()}; --refresh asks again)`};
	try {
		const file = await fetchFile({url, sha256, path}, options);
		await rm(noted, {force: true});
		return file;
	} catch (error) {
		if (isNeeded || error instanceof RefusedError || signal.aborted || isFullDisk(error)) throw error;
		const why = (error as Error).message;
		await writeOwn(noted, {at: Date.now(), why} satisfies Silent, mac);
		return {url, why};
	}
}

/** Fetches what the cache lacks of the assets, one after another; a host that did not answer is not asked again for a while. */
export async function fetchAssets(assets: readonly PlacedAsset[], options: AssetOptions): Promise<FoundAssets> {
	const files = new Map<string, string>();
	const left: LeftAsset[] = [];
	const asked = new Set<string>();
	for (const {sha256, from} of assets) {
		if ('file' in from) {
			files.set(sha256, from.file);
			continue;
		}
		const {url, delivery} = from;
		const {host} = new URL(url);
		const again = {...options, refresh: options.refresh && !asked.has(host)};
		const found = delivery === 'machine' ? {url, why: undefined} : await obtain(url, {sha256, delivery}, again);
		asked.add(host);
		if (typeof found === 'string') files.set(sha256, found);
		else left.push(found);
	}
	return {files, left};
}

/** Tells what a new medium has not got, and why. */
export function tellLeft({left}: Pick<FoundAssets, 'left'>, say: (line: string) => void): void {
	for (const {url, why} of left)
		if (why !== undefined) say(`${url} is not on the medium, the machine fetches it itself: ${why}`);
}

/** Checks that a file is what it should be; one of the cache that is not goes, and is fetched again. Throws a UserError where it is still not. */
async function checkAsset({sha256, from}: PlacedAsset, file: string, options: AssetOptions): Promise<void> {
	if ('file' in from) {
		if ((await digestFile(file)) === sha256) return;
		throw new UserError(`${file} has changed while the medium was made; build again`);
	}
	await fetchFile({url: from.url, sha256, path: file}, options);
}

/** Checks every asset of a medium that takes them as they are. */
export async function checkAssets(
	assets: readonly PlacedAsset[],
	{files}: FoundAssets,
	options: AssetOptions,
): Promise<void> {
	for (const asset of assets) {
		const file = files.get(asset.sha256);
		if (file !== undefined) await checkAsset(asset, file, options);
	}
}

/** A copy with nothing of this workstation on it; who runs containers reads it too. */
async function copyPlain(from: string, to: string, epoch: number): Promise<void> {
	await mkdir(dirname(to), {recursive: true});
	await copyFile(from, to, constants.COPYFILE_FICLONE);
	await chmod(to, 0o644);
	await utimes(to, epoch, epoch);
}

/** The part of the medium that holds the assets. */
export interface AssetLayer {
	/** The squashfs in the cache; none when there is nothing to embed. */
	layer: string | undefined;
	/** Digests of the assets in it. */
	embedded: readonly string[];
	/** What the machine fetches itself. */
	left: readonly LeftAsset[];
	/** Checks every byte. */
	verify(): Promise<boolean>;
	discard(): Promise<void>;
}

/** The layer of the medium that holds the assets, from the cache or made. */
export async function makeAssetLayer(
	assets: readonly PlacedAsset[],
	found: FoundAssets,
	epoch: number,
	options: AssetOptions,
): Promise<AssetLayer> {
	const {files, left} = found;
	const embedded = [...files.keys()].sort();
	if (embedded.length === 0)
		return {layer: undefined, embedded, left, verify: async () => true, discard: async () => {}};
	const key = digestOf(['assets', embedded, epoch, await readMaker()]).slice(0, 32);
	const {entry} = await fetchEntry(join(options.cache, 'layers', key), options.mac, async folder => {
		const root = join(folder, 'root');
		await checkAssets(assets, found, options);
		for (const [sha256, file] of files) {
			const copy = join(root, assetsFolder, sha256);
			await copyPlain(file, copy, epoch);
			if ((await digestFile(copy)) !== sha256)
				throw new UserError(`${file} has changed while the medium was made; build again`);
		}
		const pack = [
			...['-comp', 'zstd', '-Xcompression-level', '3', '-no-progress', '-quiet'],
			...['-all-root', '-root-mode', '0755', '-no-xattrs'],
		];
		const layer = join(folder, '15-assets.squashfs');
		await run(['chmod', '--recursive', 'u=rwX,go=rX', root]); // whatever the umask
		await run(['mksquashfs', root, layer, ...pack], {
			env: {SOURCE_DATE_EPOCH: String(epoch)},
		});
		await rm(root, {recursive: true});
	});
	const {folder, verify} = entry;
	return {layer: join(folder, '15-assets.squashfs'), embedded, left, verify, discard: () => discardEntry(folder)};
}
