import {constants, renameSync} from 'node:fs';
import {access, chmod, mkdir, readFile, rm, stat, writeFile} from 'node:fs/promises';
import {basename, dirname, join} from 'node:path';
import {withFolder} from '../folder.ts';
import type {CompleteProfile} from '../profile/complete.ts';
import {ProfileError} from '../profile/faults.ts';
import {placeFacts} from '../profile/profile.ts';
import type {Progress, Update} from '../progress.ts';
import {type FileTree, folders} from '../render/tree.ts';
import {listImagePackages} from '../render/view.ts';
import {checkPrograms, UserError} from '../run.ts';
import {type AssetLayer, fetchAssetLayer, type PlacedAsset} from './assets.ts';
import {buildBundle} from './bundle.ts';
import {type CacheEntry, digestFile, digestOf, discardEntry, fetchEntry, parseJson, writeWhole} from './cache.ts';
import {type Contents, listIsoArguments, writeIso} from './iso.ts';
import {buildLayer} from './layer.ts';
import {type Manifest, readTools} from './manifest.ts';
import {listTopLayer, type Secrets, type TopLayer} from './medium.ts';
import {checkPackages, downloadPackages, type Index, openIndex, type Package, resolvePackages} from './packages.ts';
import {checkUnits} from './quadlet.ts';
import {buildRootfs, chooseMode, keyRootfs, type Mode} from './rootfs.ts';

export interface BuildOptions {
	/** Where the ISO goes; its digest, manifest and log go beside it. */
	iso: string;
	cache: string;
	secrets: Secrets;
	assets: readonly PlacedAsset[];
	refresh: boolean;
	/** SOURCE_DATE_EPOCH, where it is set. */
	epoch: number | undefined;
	progress: Progress;
	signal: AbortSignal;
	/** $PATH. */
	searchPath: string;
}

/** What the cache remembers of how a base was made. */
interface Origin {
	mode: Mode;
	epoch: number;
}

interface Base extends Origin {
	entry: CacheEntry;
	index: Index;
	packages: Package[];
	key: string;
}

/** The programs that a build runs. */
const programs = [
	...['apt-get', 'apt-cache', 'flock', 'setpriv', 'unshare', 'mmdebstrap', 'mksquashfs', 'unsquashfs'],
	...['grub-mkimage', 'mformat', 'mmd', 'mcopy', 'xorriso', 'openssl'],
];

/** Throws a UserError before anything slow when the artefact could not be written. */
export async function prepareOutput(iso: string): Promise<void> {
	try {
		await mkdir(dirname(iso), {recursive: true});
		await access(dirname(iso), constants.W_OK);
		const found = await stat(iso).catch(() => undefined);
		if (found?.isDirectory()) throw new Error('it is a folder');
	} catch (error) {
		throw new UserError(`cannot write ${iso}: ${(error as Error).message}. Choose another place with --out`, {
			cause: error,
		});
	}
}

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

/** The base of the medium: from the cache, or made. */
async function fetchBase(profile: CompleteProfile, tree: FileTree, log: string, options: BuildOptions): Promise<Base> {
	const {progress, cache, signal, refresh} = options;
	const {say} = progress;
	const indexOptions = {cache, refresh, say, signal};
	const names = listImagePackages(profile.fields);
	const index = await openIndex(profile.fields.debian, indexOptions);
	const faults = await checkPackages(index, profile.fields.debian.packages);
	if (faults.length > 0) throw new ProfileError(placeFacts(faults, profile.source));
	const packages = await resolvePackages(index, names);
	const key = keyRootfs(index, names, packages, tree, options.epoch);
	const epoch = options.epoch ?? index.epoch;
	const {entry} = await fetchEntry(join(cache, 'base', key), async folder => {
		await progress.stage('packages', async update => {
			await downloadPackages(index, packages, indexOptions);
			update(`${packages.length} packages, ${(packages.reduce((sum, {size}) => sum + size, 0) / 1e6).toFixed(0)} MB`);
		});
		await progress.stage('base', async update => {
			const onProgress = milestones(update);
			const mode = await chooseMode();
			await buildRootfs(index, packages, tree, folder, {...indexOptions, names, mode, epoch, log, onProgress});
			update(mode === 'root' ? 'as root' : 'in a user namespace, without root');
			await writeFile(join(folder, 'origin.json'), JSON.stringify({mode, epoch} satisfies Origin));
		});
	});
	await checkUnits(profile, join(entry.folder, '10-base.squashfs'));
	const origin = JSON.parse(await readFile(join(entry.folder, 'origin.json'), 'utf8')) as Origin;
	return {entry, index, packages, key, ...origin};
}

interface Stamp {
	buildId: string;
	size: number;
	mtimeMs: number;
}

async function readStamp(path: string): Promise<Stamp | undefined> {
	const text = await readFile(path, 'utf8').catch(() => undefined);
	return text === undefined ? undefined : parseJson<Stamp>(text);
}

/** Whether the artefact of this build stands there as it was left, with what belongs beside it. */
async function isThere(iso: string, stampPath: string, buildId: string): Promise<boolean> {
	const stamp = await readStamp(stampPath);
	const found = await stat(iso).catch(() => undefined);
	const beside = await Promise.all([`${iso}.sha256`, manifestPath(iso)].map(path => stat(path).catch(() => undefined)));
	return (
		stamp?.buildId === buildId && found?.size === stamp.size && found.mtimeMs === stamp.mtimeMs && beside.every(Boolean)
	);
}

const manifestPath = (iso: string) => `${iso.replace(/\.iso$/, '')}.manifest.json`;

/** Lays the medium out in the work folder and names every file of it. */
async function layOut(
	base: Base,
	{layer: assets}: AssetLayer,
	tree: FileTree,
	top: TopLayer,
	work: string,
): Promise<Contents> {
	const layer = join(work, '20-profile.squashfs');
	await buildLayer(top.files, layer, base.epoch);
	const cached = (name: string) => join(base.entry.folder, name);
	const contents = new Map([
		[`live-${top.buildId}/10-base.squashfs`, cached('10-base.squashfs')],
		...(assets ? ([[`live-${top.buildId}/15-assets.squashfs`, assets]] as const) : []),
		[`live-${top.buildId}/20-profile.squashfs`, layer],
		['live/vmlinuz', cached('vmlinuz')],
		['live/initrd.img', cached('initrd.img')],
		['boot/grub/bios.img', cached('bios.img')],
	]);
	const binary = [...tree]
		.filter(([path]) => path.startsWith(folders.binary))
		.map(([path, {content}]) => [path.slice(folders.binary.length), content] as const);
	for (const [path, content] of [...binary, ['boot/grub/build.cfg', `set build=${top.buildId}\n`] as const]) {
		const file = join(work, path.replaceAll('/', '_'));
		await writeFile(file, content);
		contents.set(path, file);
	}
	return contents;
}

async function describe(
	profile: CompleteProfile,
	base: Base,
	assets: AssetLayer,
	tree: FileTree,
	top: TopLayer,
	artefact: Pick<Manifest, 'artefact' | 'sha256' | 'size' | 'seconds'>,
): Promise<Manifest> {
	const parts = Object.entries(base.entry.digests).map(([name, part]) => [name, part.size] as const);
	return {
		schema: 1,
		...artefact,
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
		assets: {embedded: assets.embedded, leftToMachine: assets.left},
		packages: base.packages.map(({name, version, architecture, sha256}) => ({name, version, architecture, sha256})),
		tools: await readTools(),
		sizes: Object.fromEntries(parts),
	};
}

/** The base in the cache is not what was put there. */
class DamagedBase extends Error {}

/** Writes the ISO beside its final place and, when all is whole, moves everything there at once. */
async function writeMedium(
	profile: CompleteProfile,
	base: Base,
	assets: AssetLayer,
	tree: FileTree,
	top: TopLayer,
	log: string,
	options: BuildOptions,
): Promise<void> {
	const {iso, progress, signal, secrets} = options;
	const name = basename(iso);
	await withFolder(dirname(iso), async work => {
		const temporary = join(work, name);
		const sha256 = await progress.stage('iso', async update => {
			const contents = await layOut(base, assets, tree, top, work);
			const command = listIsoArguments(
				base.entry.folder,
				contents,
				temporary,
				profile.fields.machine.firmware,
				base.epoch,
			);
			const onProgress = (text: string) => update(text, Number.parseFloat(text) / 100);
			const [, ...whole] = await Promise.all([
				writeIso(command, log, onProgress, signal),
				base.entry.verify(),
				assets.verify(),
			]);
			if (!whole.every(Boolean)) throw new DamagedBase();
			await chmod(temporary, secrets.size > 0 ? 0o600 : 0o644);
			const digest = await digestFile(temporary);
			update(`${((await stat(temporary)).size / 1e6).toFixed(0)} MB`);
			return digest;
		});
		const {size} = await stat(temporary);
		const manifest = await describe(profile, base, assets, tree, top, {
			artefact: name,
			sha256,
			size,
			seconds: progress.seconds,
		});
		const digestFileName = join(work, `${name}.sha256`);
		await writeFile(digestFileName, `${sha256}  ${name}\n`);
		const manifestName = join(work, 'manifest.json');
		await writeFile(manifestName, `${JSON.stringify(manifest, undefined, '\t')}\n`);
		renameSync(temporary, iso);
		renameSync(digestFileName, `${iso}.sha256`);
		renameSync(manifestName, manifestPath(iso));
	});
}

/** Makes the installer ISO of a profile; does nothing when it stands there already. */
export async function buildIso(
	profile: CompleteProfile,
	tree: FileTree,
	options: BuildOptions,
): Promise<{buildId: string; made: boolean}> {
	const {iso, cache, secrets, progress, searchPath} = options;
	const log = `${iso.replace(/\.iso$/, '')}.log`;
	await checkPrograms(programs, searchPath);
	await rm(log, {force: true});
	const bundle = await buildBundle();
	const stampPath = join(cache, 'built', `${digestOf(iso).slice(0, 16)}.json`);
	const make = async (): Promise<{buildId: string; made: boolean}> => {
		const base = await fetchBase(profile, tree, log, options);
		const assets = await fetchAssetLayer(options.assets, base.epoch, {
			...options,
			proxy: profile.fields.debian.proxy,
			say: progress.say,
		});
		const inputs = [base.key, base.epoch, profile.fields.machine.firmware, assets.embedded];
		const top = listTopLayer(tree, bundle, secrets, inputs);
		if (await isThere(iso, stampPath, top.buildId)) return {buildId: top.buildId, made: false};
		await writeMedium(profile, base, assets, tree, top, log, options).catch(async error => {
			if (error instanceof DamagedBase) await Promise.all([discardEntry(base.entry.folder), assets.discard()]);
			throw error;
		});
		return {buildId: top.buildId, made: true};
	};
	const result = await make().catch(error => {
		if (!(error instanceof DamagedBase)) throw error;
		progress.say('the base in the cache was damaged; making it anew');
		return make();
	});
	if (!result.made) return result;
	const {size, mtimeMs} = await stat(iso);
	await writeWhole(stampPath, JSON.stringify({buildId: result.buildId, size, mtimeMs} satisfies Stamp));
	if (secrets.size > 0) progress.say(`${iso} holds the secrets of the profile: keep it as you keep them`);
	return result;
}
