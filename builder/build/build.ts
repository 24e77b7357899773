import {chmod, stat, writeFile} from 'node:fs/promises';
import {basename, dirname, join} from 'node:path';
import {placeFiles, touch, withFolder} from '../folder.ts';
import type {CompleteProfile} from '../profile/complete.ts';
import {type FileTree, folders} from '../render/tree.ts';
import {checkPrograms} from '../run.ts';
import {tellLeft} from './assets.ts';
import {digestFile, digestOf} from './cache.ts';
import {type Contents, listIsoArguments, writeIso} from './iso.ts';
import {type Mac, readOwn, writeOwn} from './mac.ts';
import type {Manifest} from './manifest.ts';
import {logPath, manifestPath, withOutput} from './output.ts';
import {describe, listLayers, type Parts, type PartsOptions, programs, useParts, verifyParts} from './parts.ts';

export interface BuildOptions extends PartsOptions {
	/** Where the ISO goes; its digest, manifest and log go beside it. */
	iso: string;
}

interface Stamp {
	buildId: string;
	size: number;
	mtimeMs: number;
}

/** Whether the artefact of this build stands there as it was left, with what belongs beside it. */
async function isThere(iso: string, stampPath: string, buildId: string, mac: Mac): Promise<boolean> {
	const stamp = await readOwn<Stamp>(stampPath, mac);
	const found = await stat(iso).catch(() => undefined);
	const beside = await Promise.all([`${iso}.sha256`, manifestPath(iso)].map(path => stat(path).catch(() => undefined)));
	if (stamp?.buildId !== buildId || found?.size !== stamp.size || found.mtimeMs !== stamp.mtimeMs) return false;
	await touch(stampPath);
	return beside.every(Boolean);
}

/** Moves a finished ISO into its place, with its digest and its manifest, all at once. */
export async function placeIso(made: string, iso: string, work: string, manifest: Manifest): Promise<void> {
	const digest = join(work, 'digest');
	await writeFile(digest, `${manifest.sha256}  ${basename(iso)}\n`);
	const description = join(work, 'manifest.json');
	await writeFile(description, `${JSON.stringify(manifest, undefined, '\t')}\n`);
	await placeFiles([
		[made, iso],
		[digest, `${iso}.sha256`],
		[description, manifestPath(iso)],
	]);
}

/** Makes an ISO unless the one of this build stands there already, and remembers it. */
export async function makeOnce(
	{iso, cache, mac, secrets, progress}: Pick<BuildOptions, 'iso' | 'cache' | 'mac' | 'secrets' | 'progress'>,
	buildId: string,
	make: () => Promise<void>,
): Promise<{buildId: string; made: boolean}> {
	const stampPath = join(cache, 'built', `${digestOf(iso).slice(0, 16)}.json`);
	if (await isThere(iso, stampPath, buildId, mac)) return {buildId, made: false};
	await make();
	const {size, mtimeMs} = await stat(iso);
	await writeOwn(stampPath, {buildId, size, mtimeMs} satisfies Stamp, mac);
	if (secrets.size > 0) progress.say(`${iso} holds the secrets of the profile: keep it as you keep them`);
	return {buildId, made: true};
}

/** Lays the ISO out in the work folder and names every file of it. */
async function layOut(parts: Parts, work: string): Promise<Contents> {
	const {base, tree, top} = parts;
	const contents = new Map(await listLayers(parts, work));
	contents.set('boot/grub/bios.img', join(base.entry.folder, 'bios.img'));
	const binary = [...tree]
		.filter(([path]) => path.startsWith(folders.binary))
		.map(([path, {content}]) => [path.slice(folders.binary.length), content] as const);
	const where = `set folder=/live\nset layers=live-media-path=live-${top.buildId}\n`;
	for (const [path, content] of [...binary, ['boot/grub/build.cfg', `set build=${top.buildId}\n${where}`] as const]) {
		const file = join(work, path.replaceAll('/', '_'));
		await writeFile(file, content);
		contents.set(path, file);
	}
	return contents;
}

/** What an ISO is put together from, by either road. */
export interface Medium {
	/** The folder of the boot images. */
	base: string;
	firmware: CompleteProfile['fields']['machine']['firmware'];
	epoch: number;
	layOut(work: string): Promise<Contents>;
	/** Throws when a byte of what the cache has is not what it was. */
	verify(): Promise<void>;
	describe(artefact: Pick<Manifest, 'artefact' | 'sha256' | 'size'>): Promise<Manifest>;
}

/** Writes the ISO beside its final place and, when all is whole, moves everything there at once. */
export async function writeMedium(medium: Medium, log: string, options: BuildOptions): Promise<void> {
	const {iso, progress, signal} = options;
	const name = basename(iso);
	await withFolder(dirname(iso), async work => {
		const temporary = join(work, name);
		const sha256 = await progress.stage('iso', async update => {
			const contents = await medium.layOut(work);
			const command = listIsoArguments(medium.base, contents, temporary, medium.firmware, medium.epoch);
			const onProgress = (text: string) => update(text, Number.parseFloat(text) / 100);
			await Promise.all([writeIso(command, medium.epoch, log, onProgress, signal), medium.verify()]);
			await chmod(temporary, 0o600); // machine.json alone may hold what is secret
			const digest = await digestFile(temporary);
			update(`${((await stat(temporary)).size / 1e6).toFixed(0)} MB`);
			return digest;
		});
		const {size} = await stat(temporary);
		signal.throwIfAborted();
		await placeIso(temporary, iso, work, await medium.describe({artefact: name, sha256, size}));
	});
}

/** Makes the installer ISO of a profile; does nothing when it stands there already. */
export async function buildIso(
	profile: CompleteProfile,
	tree: FileTree,
	options: BuildOptions,
): Promise<{buildId: string; made: boolean}> {
	const {iso, searchPath} = options;
	await checkPrograms(programs, searchPath);
	return withOutput(iso, options, () => makeIso(profile, tree, options));
}

/** The same, for one who sees to it that nobody else makes it. */
export async function makeIso(
	profile: CompleteProfile,
	tree: FileTree,
	options: BuildOptions,
): Promise<{buildId: string; made: boolean}> {
	const {iso} = options;
	const log = logPath(iso);
	return useParts(profile, tree, log, options, parts => {
		const medium: Medium = {
			base: parts.base.entry.folder,
			firmware: profile.fields.machine.firmware,
			epoch: parts.base.epoch,
			layOut: work => layOut(parts, work),
			verify: () => verifyParts(parts),
			describe: artefact => describe(parts, options.progress, artefact),
		};
		return makeOnce(options, parts.top.buildId, async () => {
			tellLeft(parts.assets, options.progress.say);
			await writeMedium(medium, log, options);
		});
	});
}
