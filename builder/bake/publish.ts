import {constants} from 'node:fs';
import {copyFile, mkdir, open, readdir, readFile, rename, rm, stat, symlink} from 'node:fs/promises';
import {basename, join} from 'node:path';
import {digestFile, parseJson} from '../build/cache.ts';
import {withFolder} from '../folder.ts';
import {UserError} from '../run.ts';
import {attest, endings, type Signing, verifyArtefact} from './attest.ts';
import type {ImageManifest} from './bake.ts';

/** Which image of a profile is the newest that was proven; `NAME-latest.json` in the folder that images are published to. */
export interface Latest {
	/** What the names of its files begin with: NAME-YYYYMMDD-DIGEST. */
	image: string;
	manifest: ImageManifest;
}

const pointer = (profile: string) => `${profile}-latest.json`;

/** The newest image of a profile that was published; undefined when there is none. */
export async function readLatest(folder: string, profile: string): Promise<Latest | undefined> {
	const text = await readFile(join(folder, pointer(profile)), 'utf8').catch(error => {
		if (error.code === 'ENOENT') return undefined;
		throw error; // a folder that cannot be read is not an empty one
	});
	const known = text === undefined ? undefined : parseJson<{image: string}>(text);
	if (known === undefined) return undefined;
	const manifest = parseJson<ImageManifest>(
		await readFile(join(folder, `${known.image}${endings.manifest}`), 'utf8').catch(() => ''),
	);
	return manifest && {image: known.image, manifest};
}

async function syncPath(path: string): Promise<void> {
	const file = await open(path, 'r');
	await file.sync().finally(() => file.close());
}

/** Puts a link in the place of another, at once. */
async function replaceLink(target: string, path: string, work: string): Promise<void> {
	const temporary = join(work, basename(path));
	await symlink(target, temporary);
	await rename(temporary, path);
}

/** The images of a profile in the folder, newest first. */
async function listPublished(folder: string, profile: string): Promise<string[]> {
	const names = (await readdir(folder)).flatMap(name => /^(.+)\.image\.json$/.exec(name)?.[1] ?? []);
	const own = names.filter(name => name.replace(/-\d{8}-[0-9a-f]{12}$/, '') === profile && name !== profile);
	const dated = own.map(async name => {
		const {mtimeMs} = await stat(join(folder, `${name}${endings.manifest}`));
		return {name, mtimeMs};
	});
	return (await Promise.all(dated)).sort((a, b) => b.mtimeMs - a.mtimeMs).map(({name}) => name);
}

/** The manifest goes last: what a crash has left half removed is found again. */
async function removeImage(folder: string, image: string): Promise<void> {
	const manifest = `${image}${endings.manifest}`;
	const names = (await readdir(folder)).filter(name => name.startsWith(`${image}.`) && name !== manifest);
	for (const name of [...names, manifest]) await rm(join(folder, name), {force: true});
}

/** Whether all of a published image is there as it was made, and signed where it shall be. */
export async function isWhole(folder: string, {image}: Latest, signed: boolean): Promise<boolean> {
	const names = await readdir(folder);
	if (signed && !names.includes(`${image}${endings.signature}`)) return false;
	return verifyArtefact(join(folder, `${image}${endings.sums}`), undefined).then(
		() => true,
		() => false,
	);
}

/**
 * Publishes an image that was baked and proven: its files under a name that is used once, then the pointers to it.
 * The pointers move last and one by one, the JSON at the end; whatever fails before leaves the image before as the latest.
 */
export async function publishImage(
	out: string,
	manifest: ImageManifest,
	{folder, keep, date, signing}: {folder: string; keep: number; date: Date; signing: Signing | undefined},
): Promise<{image: string; removed: string[]}> {
	const {profile, sha256} = manifest;
	await mkdir(folder, {recursive: true});
	const day = date.toISOString().slice(0, 10).replaceAll('-', '');
	const image = `${profile}-${day}-${sha256.slice(0, 12)}`;
	const formats = manifest.formats.map(one => ({...one, file: `${image}.${one.format}`}));
	const sbom = await readFile(`${out}${endings.sbom}`, 'utf8');
	await withFolder(folder, async work => {
		for (const {format, file, sha256} of formats) {
			// A copy: whoever boots the one in out/ must not write into what is signed.
			await copyFile(`${out}.${format}`, join(work, file), constants.COPYFILE_FICLONE);
			if ((await digestFile(join(work, file))) !== sha256)
				throw new UserError(`${out}.${format} is not what was proven; bake it again`);
		}
		await attest(
			{...manifest, artefact: `${image}.${formats[0]?.format}`, formats},
			{stem: join(work, image), sbom, signing},
		);
		for (const name of await readdir(work)) await syncPath(join(work, name));
		for (const name of await readdir(work)) await rename(join(work, name), join(folder, name));
		await syncPath(folder);
		for (const {format} of formats)
			await replaceLink(`${image}.${format}`, join(folder, `${profile}-latest.${format}`), work);
		const text = `${JSON.stringify({schema: 1, image, sha256, formats: formats.map(({format}) => format)}, undefined, '\t')}\n`;
		const temporary = join(work, pointer(profile));
		const file = await open(temporary, 'w', 0o644);
		await file.writeFile(text);
		await file.sync().finally(() => file.close());
		await rename(temporary, join(folder, pointer(profile)));
		await syncPath(folder);
	});
	// A format that the profile no longer makes: its pointer would lead to an older image.
	const gone = ['qcow2', 'raw', 'vmdk', 'vhdx', 'ova'].filter(format => !formats.some(one => one.format === format));
	for (const format of gone) await rm(join(folder, `${profile}-latest.${format}`), {force: true});
	const old = (await listPublished(folder, profile)).filter(name => name !== image).slice(Math.max(0, keep - 1));
	for (const name of old) await removeImage(folder, name);
	return {image, removed: old};
}
