import {readFile, writeFile} from 'node:fs/promises';
import {basename, join} from 'node:path';
import {withFolder} from '../../folder.ts';
import type {CompleteProfile} from '../../profile/complete.ts';
import {ProfileError} from '../../profile/faults.ts';
import {placeFacts} from '../../profile/profile.ts';
import {type FileTree, folders} from '../../render/tree.ts';
import {listInstallerPackages} from '../../render/view.ts';
import {UserError} from '../../run.ts';
import {checkAssets, fetchAssets, type LeftAsset} from '../assets.ts';
import {buildBundle} from '../bundle.ts';
import {type CacheEntry, digestOf, fetchEntry} from '../cache.ts';
import {type Index, openIndex} from '../lists.ts';
import {readLockFile} from '../lock-file.ts';
import {readMaker} from '../maker.ts';
import {listTopLayer, type TopLayer} from '../medium.ts';
import {checkPackages, downloadPackages, type Package, resolvePackages} from '../packages.ts';
import type {PartsOptions} from '../parts.ts';
import {checkFiles} from '../repository.ts';
import {environmentPackages, environmentRecipe, makeEnvironment} from './environment.ts';
import {fetchInstaller, type InstallerLock, lockSchema, resolveInstaller} from './lock.ts';
import {makePool, type Pool} from './pool.ts';

const lockKind = {
	field: 'installerLock',
	schema: lockSchema,
	of: 'an installer',
	command: 'lock-installer',
} as const;

/** What debian-installer installs by itself, with whatever else it depends on. Two boot loaders exclude each other. */
const itsOwn = [
	'debconf-i18n',
	'kmod',
	'busybox',
	'zstd',
	'initramfs-tools',
	'linux-image-amd64',
	'locales',
	'efibootmgr',
	'usr-is-merged',
];
const bootLoaders = [['grub-efi-amd64', 'grub-efi-amd64-signed', 'shim-signed'], ['grub-pc']];

/** All that a medium of debian-installer is put together from. */
export interface InstallerParts {
	profile: CompleteProfile;
	tree: FileTree;
	index: Index;
	lock: InstallerLock;
	environment: CacheEntry;
	packages: Package[];
	pool: Pool;
	/** Files by digest. */
	assets: ReadonlyMap<string, string>;
	left: readonly LeftAsset[];
	top: TopLayer;
	epoch: number;
}

/** The packages of the pool: for the system and for debian-installer, once for each boot loader. */
async function resolvePool(profile: CompleteProfile, index: Index): Promise<Package[][]> {
	const faults = await checkPackages(index, profile.fields.debian.packages);
	if (faults.length > 0) throw new ProfileError(placeFacts(faults, profile.source));
	const names = [...listInstallerPackages(profile.fields), ...itsOwn];
	return Promise.all(bootLoaders.map(loaders => resolvePackages(index, [...names, ...loaders])));
}

/** Fetches or makes all parts; everything is checked against its digest. */
export async function gatherInstaller(
	profile: CompleteProfile,
	tree: FileTree,
	options: PartsOptions,
): Promise<InstallerParts> {
	const {cache, mac, refresh, progress, signal} = options;
	const indexOptions = {cache, mac, refresh, say: progress.say, signal};
	const {debian} = profile.fields;
	const index = await openIndex(debian, indexOptions);
	const sets = await resolvePool(profile, index);
	const packages = [...new Map(sets.flat().map(item => [item.file, item])).values()];
	const wanted = (await readLockFile(profile, lockKind))?.lock;
	const lock = await progress.stage('installer', async update => {
		if (wanted !== undefined) await fetchInstaller(index, wanted, indexOptions);
		const chosen =
			wanted ??
			(await withFolder(join(cache, 'installer'), work =>
				resolveInstaller(debian, {udebs: new Map()}, work, indexOptions),
			));
		update(`${basename(chosen.netboot.file)}, ${chosen.udebs.length} udebs`);
		return chosen;
	});
	const own = await resolvePackages(index, environmentPackages);
	await progress.stage('packages', async update => {
		for (const set of [...sets, own]) {
			await downloadPackages(index, set, indexOptions);
			await checkFiles(index, set, indexOptions);
		}
		update(`${packages.length} packages, ${(packages.reduce((sum, {size}) => sum + size, 0) / 1e6).toFixed(0)} MB`);
	});
	const key = digestOf([
		environmentRecipe,
		lock,
		own.map(({sha256}) => sha256),
		options.epoch,
		await readMaker(),
	]).slice(0, 32);
	// The date of the first that was made stays: a newer list of the same packages makes no other medium.
	const {entry: environment} = await fetchEntry(join(cache, 'installer', key), mac, async folder => {
		const epoch = options.epoch ?? index.epoch;
		await progress.stage('initramfs', () => makeEnvironment(lock, own, folder, {cache, epoch, work: options.work}));
		await writeFile(join(folder, 'epoch'), String(epoch));
	});
	const epoch = Number(await readFile(join(environment.folder, 'epoch'), 'utf8'));
	await checkPreseed(tree, environment.folder);
	const given = {...indexOptions, proxy: debian.proxy, locked: debian.lock !== undefined, signal};
	const found = await fetchAssets(options.assets, given);
	await checkAssets(options.assets, found, given);
	const {files: assets, left} = found;
	const pool = makePool(debian.release, packages, lock.udebs, {cache, epoch});
	const {firmware} = profile.fields.machine;
	const inputs = [
		'installer',
		key,
		firmware,
		[...pool.lists].map(([path, data]) => [path, digestOf(data)]),
		[...assets.keys()],
	];
	const top = listTopLayer(withInstaller(tree), await buildBundle(), options.secrets, inputs);
	return {profile, tree, index, lock, environment, packages, pool, assets, left, top, epoch};
}

/** An answer to a question that nobody asks is one that another question lacks. */
async function checkPreseed(tree: FileTree, environment: string): Promise<void> {
	const preseed = tree.get(`${folders.installer}preseed.cfg`)?.content ?? '';
	const known = new Set((await readFile(join(environment, 'questions.txt'), 'utf8')).split('\n'));
	const given = [...preseed.matchAll(/^d-i (\S+) /gm)].map(([, key = '']) => key);
	const unknown = given.filter(key => !known.has(key));
	if (unknown.length > 0)
		throw new UserError(
			`this debian-installer does not ask what the preseed answers: ${unknown.join(', ')}; pin another one (bringup lock-installer)`,
		);
}

/** What is in the initramfs counts for the build's number as what is on the medium does. */
function withInstaller(tree: FileTree): FileTree {
	const files = [...tree].filter(([path]) => path.startsWith(folders.installer) || path.startsWith(folders.hooks));
	return new Map([...tree, ...files.map(([path, file]) => [`${folders.binary}${path}`, file] as const)]);
}
