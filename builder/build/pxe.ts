import {existsSync, renameSync} from 'node:fs';
import {chmod, copyFile, mkdir, readdir, rm, stat, writeFile} from 'node:fs/promises';
import {basename, dirname, join} from 'node:path';
import {placeFiles, withFolder, writeWhole} from '../folder.ts';
import type {CompleteProfile} from '../profile/complete.ts';
import {type FileTree, folders} from '../render/tree.ts';
import {makeView} from '../render/view.ts';
import {checkPrograms, run, runLong} from '../run.ts';
import {tellLeft} from './assets.ts';
import {digestFile} from './cache.ts';
import type {Contents} from './iso.ts';
import type {Manifest} from './manifest.ts';
import type {TopLayer} from './medium.ts';
import {isTree, logPath, manifestPath, withOutput} from './output.ts';
import {describe, listLayers, type Parts, type PartsOptions, programs, useParts, verifyParts} from './parts.ts';

export interface PxeOptions extends PartsOptions {
	/** The folder that becomes the tree. */
	out: string;
	/** Whether the tree is put into one tar beside it, too. */
	tar: boolean;
}

/** What a server reads of a netboot tree: tree.json in it. */
export interface NetbootTree {
	schema: 1;
	method: 'image' | 'debian-installer';
	profile: string;
	buildId: string;
	/** Seconds since 1970: the date of its files. */
	epoch: number;
	/** What the menu says. */
	title: string;
	/** The words that the kernel gets beside those that say where the layers are. */
	bootWords: readonly string[];
	layers: readonly {name: string; sha256: string; size: number}[];
	/** What the machine reads, to be changed for one machine. */
	machine: string;
}

/** What debian-installer is told of the network; how long to wait is read before any preseed. */
export const networkWords = [
	...['netcfg/enable=true', 'netcfg/choose_interface=auto', 'netcfg/link_wait_timeout=30', 'netcfg/dhcp_timeout=60'],
];

/** Signed by Debian, and GRUB for BIOS: what a network card fetches first, by the name that it asks for. */
const loaders = {
	'bootx64.efi': 'shimx64.efi.signed',
	'grubx64.efi': 'grubnetx64.efi.signed',
	'mmx64.efi': 'mmx64.efi.signed',
	'bringup.pxe': 'bringup.pxe',
} as const;

/** Copies files into a tree, by the path that they have there. */
export async function copyInto(folder: string, contents: Contents): Promise<void> {
	for (const [path, from] of contents) {
		await mkdir(dirname(join(folder, path)), {recursive: true});
		await runLong(['cp', '--reflink=auto', from, join(folder, path)]);
	}
}

/** Keeps a tree from all but its owner: the profile's secrets are in it, and its server is who gives them. */
async function lockTree(folder: string): Promise<void> {
	await chmod(folder, 0o700);
	for (const entry of await readdir(folder, {recursive: true, withFileTypes: true}))
		await chmod(join(entry.parentPath, entry.name), entry.isDirectory() ? 0o700 : 0o600);
}

/** What every tree has: Debian's signed loaders, and GRUB's menu. `base` is where the loaders are. */
export async function writeBoot(folder: string, base: string, tree: FileTree, variables: string): Promise<void> {
	for (const [name, from] of Object.entries(loaders)) await copyFile(join(base, from), join(folder, name));
	for (const [path, {content}] of tree) {
		if (!path.startsWith(folders.pxe)) continue;
		await mkdir(dirname(join(folder, path.slice(folders.pxe.length))), {recursive: true});
		await writeFile(join(folder, path.slice(folders.pxe.length)), content);
	}
	await writeFile(join(folder, 'grub/build.cfg'), variables);
}

/** What a tree says of itself. */
export function describeTree(
	profile: CompleteProfile,
	top: TopLayer,
	own: Pick<NetbootTree, 'epoch' | 'layers'>,
): NetbootTree {
	const view = makeView(profile);
	return {
		schema: 1,
		method: profile.fields.install.method,
		profile: profile.name,
		buildId: top.buildId,
		title: String(view['installTitle']),
		bootWords: view['bootWords'] as readonly string[],
		machine: top.files.get('etc/bringup/machine.json')?.content ?? '',
		...own,
	};
}

async function writeFiles(parts: Parts, folder: string, work: string): Promise<NetbootTree> {
	const {base, profile, tree, top} = parts;
	const contents = await listLayers(parts, work);
	await copyInto(folder, contents);
	const layersAt = `live-${top.buildId}`;
	const words = `live-media-path=${layersAt} fetch=http://$server/${layersAt}`;
	await writeBoot(
		folder,
		base.entry.folder,
		tree,
		`set build=${top.buildId}\nset folder=/live\nset words="${words}"\n`,
	);
	const names = [...contents.keys()].filter(path => path.endsWith('.squashfs'));
	const layers = await Promise.all(
		names.map(async path => {
			const file = join(folder, path);
			return {name: basename(path), sha256: await digestFile(file), size: (await stat(file)).size};
		}),
	);
	const sums = layers.map(({name, sha256}) => `${sha256}  ${name}\n`).join('');
	await writeFile(join(folder, `live-${top.buildId}/SHA256SUMS`), sums);
	return describeTree(profile, top, {epoch: base.epoch, layers});
}

/** Where the tree before is while another takes its place: two renames are not one. */
const beforePath = (out: string) => join(dirname(out), `.${basename(out)}.before`);

function replaceTree(made: string, out: string): void {
	if (existsSync(out)) renameSync(out, beforePath(out));
	renameSync(made, out);
}

/** Puts back the tree that a power cut has left without its place; one whose successor stands is removed. */
export async function restoreTree(out: string): Promise<void> {
	const before = beforePath(out);
	if (!(await isTree(before))) return;
	if (existsSync(out)) await rm(before, {recursive: true});
	else renameSync(before, out);
}

/** Has a tree made in a folder, describes it, and puts it in place at once, its tar too. */
export async function placeTree(
	{out, progress, tar, secrets, signal}: Pick<PxeOptions, 'out' | 'progress' | 'tar' | 'secrets' | 'signal'>,
	make: (folder: string, work: string) => Promise<{written: NetbootTree; describe: Describe}>,
): Promise<NetbootTree> {
	const made = await withFolder(dirname(out), async work => {
		const folder = join(work, basename(out));
		await mkdir(folder);
		const {written, describe} = await make(folder, work);
		await writeFile(join(folder, 'tree.json'), `${JSON.stringify(written, undefined, '\t')}\n`);
		await lockTree(folder);
		const listing = await run(['du', '--summarize', '--bytes', folder]);
		const sha256 = await digestFile(join(folder, 'tree.json'));
		const manifest = await describe({artefact: basename(out), sha256, size: Number.parseInt(listing, 10)});
		const packed = join(work, 'tar');
		if (tar) await progress.stage('tar', () => packTree(folder, packed, written.epoch, signal));
		if (tar) await chmod(packed, 0o600);
		await run(['sync', '--file-system', folder]);
		signal.throwIfAborted();
		await restoreTree(out);
		replaceTree(folder, out);
		await restoreTree(out);
		if (tar) await placeFiles([[packed, `${out}.tar`]]);
		await writeWhole(manifestPath(out), `${JSON.stringify(manifest, undefined, '\t')}\n`);
		return written;
	});
	if (secrets.size > 0)
		progress.say(
			`${out} holds the secrets of the profile, and whoever reaches its server can read them: serve it in a network of its own`,
		);
	return made;
}

/** Packs a tree under its own name. A colon in a path is no host. */
async function packTree(folder: string, tar: string, epoch: number, signal: AbortSignal): Promise<void> {
	const options = ['--sort=name', '--owner=0', '--group=0', '--numeric-owner', `--mtime=@${epoch}`, '--force-local'];
	const what = ['--directory', dirname(folder), basename(folder)];
	await runLong(['tar', ...options, '--create', '--file', tar, ...what], {signal});
}

type Describe = (artefact: Pick<Manifest, 'artefact' | 'sha256' | 'size'>) => Promise<Manifest>;

/** Makes a tree that machines boot from over the network, and puts it in place at once. */
export async function buildPxe(profile: CompleteProfile, tree: FileTree, options: PxeOptions): Promise<NetbootTree> {
	const {out, progress, searchPath} = options;
	await checkPrograms([...programs, 'tar'], searchPath);
	const log = logPath(out);
	const use = (parts: Parts) => {
		tellLeft(parts.assets, progress.say);
		return placeTree(options, async (folder, work) => {
			const written = await progress.stage('tree', async update => {
				const [description] = await Promise.all([writeFiles(parts, folder, work), verifyParts(parts)]);
				update(`${(description.layers.reduce((sum, {size}) => sum + size, 0) / 1e6).toFixed(0)} MB of layers`);
				return description;
			});
			return {written, describe: artefact => describe(parts, progress, artefact)};
		});
	};
	return withOutput(out, options, async () => {
		await restoreTree(out);
		return useParts(profile, tree, log, options, use);
	});
}
