import {constants} from 'node:fs';
import {chmod, copyFile, mkdir, rm, stat, utimes} from 'node:fs/promises';
import {dirname, join, resolve} from 'node:path';
import type {FalseFact} from '../../firstboot/facts/fact.ts';
import {findMarked} from '../../firstboot/facts/marked.ts';
import {type Asset, assetsFolder} from '../../firstboot/sequence.ts';
import type {CompleteProfile} from '../profile/complete.ts';
import {run} from '../run.ts';
import {digestFile, digestOf, discardEntry, fetchEntry} from './cache.ts';
import {fetchFile, RefusedError} from './fetch.ts';

/** An asset and where the build has it from. */
export interface PlacedAsset {
	sha256: string;
	from: {file: string} | {url: string; delivery: 'auto' | 'embedded' | 'machine'};
}

/** The profile with every asset's digest filled in; and its assets. A file that is missing or not the one pinned is a fault. */
export async function readAssets(
	profile: CompleteProfile,
): Promise<{profile: CompleteProfile; assets: PlacedAsset[]; faults: FalseFact[]}> {
	const fields = structuredClone(profile.fields);
	const assets = new Map<string, PlacedAsset>();
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
			faults.push({path: place, message: `there is no file ${file}`});
			continue;
		}
		const sha256 = await digestFile(file);
		if (asset.sha256 !== undefined && asset.sha256 !== sha256)
			faults.push({path: place, message: `${file} has the SHA-256 ${sha256}, and ${asset.sha256} is pinned`});
		asset.sha256 = sha256;
		assets.set(sha256, {sha256, from: {file}});
	}
	return {profile: {...profile, fields}, assets: [...assets.values()], faults};
}

interface AssetOptions {
	cache: string;
	proxy: string | undefined;
	/** Whether a lock pins what is on the medium: then nothing is left to the machine because a host does not answer. */
	locked: boolean;
	say: (line: string) => void;
	signal: AbortSignal;
}

/** The file of an asset on this workstation, or undefined when it is left to the machine. */
async function obtain({sha256, from}: PlacedAsset, options: AssetOptions): Promise<string | undefined> {
	if ('file' in from) return from.file;
	const {url, delivery} = from;
	if (delivery === 'machine') return undefined;
	try {
		return await fetchFile({url, sha256, path: join(options.cache, 'assets', sha256)}, options);
	} catch (error) {
		if (delivery === 'embedded' || options.locked || error instanceof RefusedError || options.signal.aborted)
			throw error;
		options.say(`${url} is not on the medium, the machine fetches it itself: ${(error as Error).message}`);
		return undefined;
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
	/** URLs of the assets that the machine fetches itself. */
	left: readonly string[];
	/** Checks every byte. */
	verify(): Promise<boolean>;
	discard(): Promise<void>;
}

/** The files of the assets on this workstation, by digest; and what is left to the machine. */
export async function fetchAssets(
	assets: readonly PlacedAsset[],
	options: AssetOptions,
): Promise<{files: Map<string, string>; left: string[]}> {
	const files = new Map<string, string>();
	const left: string[] = [];
	for (const asset of assets) {
		const file = await obtain(asset, options);
		if (file !== undefined) files.set(asset.sha256, file);
		else if ('url' in asset.from) left.push(asset.from.url);
	}
	return {files, left};
}

/** The layer of the medium that holds the assets, from the cache or made; and what is left to the machine. */
export async function fetchAssetLayer(
	assets: readonly PlacedAsset[],
	epoch: number,
	options: AssetOptions,
): Promise<AssetLayer> {
	const {files, left} = await fetchAssets(assets, options);
	const embedded = [...files.keys()].sort();
	if (embedded.length === 0)
		return {layer: undefined, embedded, left, verify: async () => true, discard: async () => {}};
	const key = digestOf(['assets 4', embedded, epoch]).slice(0, 32);
	const {entry} = await fetchEntry(join(options.cache, 'layers', key), async folder => {
		const root = join(folder, 'root');
		for (const [sha256, file] of files) await copyPlain(file, join(root, assetsFolder, sha256), epoch);
		await run(['chmod', '--recursive', 'u=rwX,go=rX', root]);
		for (const sha256 of embedded) {
			const found = await digestFile(join(root, assetsFolder, sha256));
			if (found !== sha256) throw new Error(`${files.get(sha256)} has changed while the medium was made; build again`);
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
