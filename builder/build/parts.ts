import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import type {CompleteProfile} from '../profile/complete.ts';
import {ProfileError} from '../profile/faults.ts';
import {placeFacts} from '../profile/profile.ts';
import type {Progress, Update} from '../progress.ts';
import type {FileTree} from '../render/tree.ts';
import {listImagePackages} from '../render/view.ts';
import {type AssetLayer, fetchAssets, makeAssetLayer, type PlacedAsset} from './assets.ts';
import {buildBundle} from './bundle.ts';
import {type CacheEntry, DamagedCache, digestOf, discardEntry, fetchEntry, readVerified} from './cache.ts';
import type {Contents} from './iso.ts';
import {buildLayer} from './layer.ts';
import {type Index, type IndexOptions, openIndex} from './lists.ts';
import {compareTools, type Lock, openLock, readLock} from './lock.ts';
import type {Mac} from './mac.ts';
import {readMaker, readTools} from './maker.ts';
import type {Manifest} from './manifest.ts';
import {listTopLayer, type Secrets, type TopLayer} from './medium.ts';
import {checkPackages, downloadPackages, type Package, resolvePackages} from './packages.ts';
import {checkUnits} from './quadlet.ts';
import {buildRootfs, chooseMode, keyRootfs, type Mode} from './rootfs.ts';

export interface PartsOptions {
	cache: string;
	/** This user's word for what he put into the cache. */
	mac: Mac;
	secrets: Secrets;
	assets: readonly PlacedAsset[];
	refresh: boolean;
	/** SOURCE_DATE_EPOCH, where it is set. */
	epoch: number | undefined;
	progress: Progress;
	signal: AbortSignal;
	/** TMPDIR, where it is set. */
	work: string | undefined;
	/** $PATH. */
	searchPath: string;
}

/** What the cache remembers of how a base was made. */
interface Origin {
	mode: Mode;
	epoch: number;
}

export interface Base extends Origin {
	entry: CacheEntry;
	index: Index;
	packages: Package[];
	key: string;
}

/** All that a medium of a profile is put together from. */
export interface Parts {
	profile: CompleteProfile;
	tree: FileTree;
	base: Base;
	assets: AssetLayer;
	top: TopLayer;
}

/** The programs that a build runs. */
export const programs = [
	...[
		'apt-get',
		'apt-cache',
		'apt-config',
		'dpkg-query',
		'flock',
		'setpriv',
		'unshare',
		'mmdebstrap',
		'mksquashfs',
		'unsquashfs',
	],
	...['grub-mkimage', 'mformat', 'mmd', 'mcopy', 'xorriso', 'openssl'],
];

function milestones(update: Update): (text: string) => void {
	const known = [
		'running apt-get update',
		'downloading',
		'extracting',
		'installing essential',
		'installing remaining',
		'running special hook',
		'running --customize-hook',
		'cleaning',
		'creating tarball',
		'done',
	];
	return text => {
		const at = known.findIndex(word => text.startsWith(word));
		if (at >= 0) update(text.slice(0, 60), (at + 1) / known.length);
	};
}

/** The packages of these names and all that they need, as the archive has them now. */
export async function resolveFromArchive(
	{fields: {debian}, source}: CompleteProfile,
	names: readonly string[],
	options: IndexOptions,
): Promise<{index: Index; packages: Package[]}> {
	const index = await openIndex(debian, options);
	const faults = await checkPackages(index, debian.packages);
	if (faults.length > 0) throw new ProfileError(placeFacts(faults, source));
	return {index, packages: await resolvePackages(index, names)};
}

/** What the base of a medium is made from. */
interface Ingredients {
	index: Index;
	names: readonly string[];
	packages: Package[];
	/** What says the date of every file, where it is not the archive: SOURCE_DATE_EPOCH, or a lock. */
	dated: number | undefined;
	lock: Lock | undefined;
}

/** The packages of a profile's base: those of its lock, or those that the archive has now. */
export async function resolveBase(profile: CompleteProfile, options: PartsOptions): Promise<Ingredients> {
	const {progress, cache, mac, signal, refresh} = options;
	const names = listImagePackages(profile.fields);
	const lock = await readLock(profile, options.assets);
	const resolved = lock
		? await openLock(lock, names, profile, cache)
		: await resolveFromArchive(profile, names, {cache, mac, refresh, say: progress.say, signal});
	return {...resolved, names, dated: options.epoch ?? lock?.epoch, lock};
}

/** The base of the medium: from the cache, or made. */
async function fetchBase(profile: CompleteProfile, tree: FileTree, log: string, options: PartsOptions): Promise<Base> {
	const {progress, cache, mac, signal, refresh} = options;
	const indexOptions = {cache, mac, refresh, say: progress.say, signal};
	const {index, names, packages, dated, lock} = await resolveBase(profile, options);
	const maker = await readMaker();
	const key = keyRootfs(index, names, packages, tree, [dated, maker]);
	const epoch = dated ?? index.epoch;
	const {entry} = await fetchEntry(join(cache, 'base', key), mac, async folder => {
		for (const line of lock ? compareTools(lock, maker) : []) progress.say(line);
		await progress.stage('packages', async update => {
			await downloadPackages(index, packages, indexOptions);
			update(`${packages.length} packages, ${(packages.reduce((sum, {size}) => sum + size, 0) / 1e6).toFixed(0)} MB`);
		});
		await progress.stage('base', async update => {
			const onProgress = milestones(update);
			const mode = await chooseMode();
			await buildRootfs(index, packages, tree, folder, {
				...indexOptions,
				...{names, mode, work: options.work, epoch, log, onProgress},
			});
			update(mode === 'root' ? 'as root' : 'in a user namespace, without root');
			await writeFile(join(folder, 'origin.json'), JSON.stringify({mode, epoch} satisfies Origin));
		});
	});
	const read = async () => {
		await checkUnits(profile, entry, options.work);
		return JSON.parse(String(await readVerified(entry, 'origin.json'))) as Origin;
	};
	const origin = await read().catch(async error => {
		if (error instanceof DamagedCache) await discardEntry(entry.folder);
		throw error;
	});
	return {entry, index, packages, key, ...origin};
}

/** Throws when a byte of the parts in the cache is not what it was; usePart makes them anew then. */
export async function verifyParts({base, assets}: Parts): Promise<void> {
	const whole = await Promise.all([base.entry.verify(), assets.verify()]);
	if (!whole.every(Boolean)) throw new DamagedCache();
}

/** Fetches the parts of a profile's medium and puts them to use; once more with new ones when the cache was damaged. */
export async function useParts<T>(
	profile: CompleteProfile,
	tree: FileTree,
	log: string,
	options: PartsOptions,
	use: (parts: Parts) => Promise<T>,
): Promise<T> {
	const {progress, secrets} = options;
	const bundle = await buildBundle();
	const once = async (): Promise<T> => {
		const {proxy, lock} = profile.fields.debian;
		// What one of the two throws ends the other.
		const failed = new AbortController();
		const signal = AbortSignal.any([options.signal, failed.signal]);
		const given = {...options, signal, proxy, locked: lock !== undefined, say: progress.say};
		const both = [fetchBase(profile, tree, log, {...options, signal}), fetchAssets(options.assets, given)] as const;
		const [base, found] = await Promise.all(both).catch(async error => {
			failed.abort();
			await Promise.allSettled(both);
			throw error;
		});
		const assets = await makeAssetLayer(options.assets, found, base.epoch, given);
		const inputs = [base.key, base.epoch, profile.fields.machine.firmware, assets.embedded];
		const top = listTopLayer(tree, bundle, secrets, inputs);
		return use({profile, tree, base, assets, top}).catch(async error => {
			if (error instanceof DamagedCache) await Promise.all([discardEntry(base.entry.folder), assets.discard()]);
			throw error;
		});
	};
	return once().catch(error => {
		if (!(error instanceof DamagedCache)) throw error;
		progress.say('the base in the cache was damaged; making it anew');
		return once();
	});
}

/** Puts the layers together in a work folder, and names each with the file that is to be it. */
export async function listLayers({base, assets, top}: Parts, work: string): Promise<Contents> {
	const layer = join(work, '20-profile.squashfs');
	await buildLayer(top.files, layer, base.epoch);
	return new Map([
		[`live-${top.buildId}/10-base.squashfs`, join(base.entry.folder, '10-base.squashfs')],
		...(assets.layer ? ([[`live-${top.buildId}/15-assets.squashfs`, assets.layer]] as const) : []),
		[`live-${top.buildId}/20-profile.squashfs`, layer],
		['live/vmlinuz', join(base.entry.folder, 'vmlinuz')],
		['live/initrd.img', join(base.entry.folder, 'initrd.img')],
	]);
}

/** What an artefact was made from. */
export async function describe(
	{profile, base, assets, tree, top}: Parts,
	progress: Progress,
	artefact: Pick<Manifest, 'artefact' | 'sha256' | 'size'>,
): Promise<Manifest> {
	const parts = Object.entries(base.entry.digests).map(([name, part]) => [name, part.size] as const);
	return {
		schema: 1,
		...artefact,
		seconds: progress.seconds,
		profile: profile.name,
		buildId: top.buildId,
		release: profile.fields.debian.release,
		mode: base.mode,
		epoch: base.epoch,
		inputs: {
			archive: base.index.digest,
			...Object.fromEntries([...tree].map(([path, {content}]) => [path, digestOf(content)])),
			bundle: digestOf(top.files.get('usr/lib/bringup/firstboot.cjs')?.content),
		},
		assets: {embedded: assets.embedded, leftToMachine: assets.left.map(({url}) => url)},
		packages: base.packages.map(({name, version, architecture, sha256}) => ({name, version, architecture, sha256})),
		tools: await readTools(),
		sizes: Object.fromEntries(parts),
	};
}
