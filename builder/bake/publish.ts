import {constants} from 'node:fs';
import {
	copyFile,
	open,
	readdir,
	readFile,
	readlink,
	rename,
	rm,
	stat,
	statfs,
	symlink,
	writeFile,
} from 'node:fs/promises';
import {basename, join} from 'node:path';
import {digestFile} from '../build/cache.ts';
import {parseJson, withFolder} from '../folder.ts';
import {UserError} from '../run.ts';
import {attestImage, endings, type Keys, withSigners} from './attest.ts';
import type {ImageManifest} from './manifest.ts';
import {verifyArtefact} from './verify.ts';

/** Which image of a profile is the newest that was proven; `NAME-latest.json` in the folder that images are published to. */
export interface Latest {
	/** What the names of its files begin with: NAME-YYYYMMDD-DIGEST. */
	image: string;
	manifest: ImageManifest;
}

const pointer = (profile: string) => `${profile}-latest.json`;

/** A file that may not be there; a folder that cannot be read is not an empty one. */
async function readThere(path: string): Promise<string | undefined> {
	return readFile(path, 'utf8').catch(error => {
		if (error.code === 'ENOENT') return undefined;
		throw error;
	});
}

/** The newest image of a profile that was published; undefined when there is none. */
export async function readLatest(folder: string, profile: string): Promise<Latest | undefined> {
	const text = await readThere(join(folder, pointer(profile)));
	const known = text === undefined ? undefined : parseJson<{image?: string} | null>(text);
	if (!known?.image) return undefined;
	const manifest = parseJson<ImageManifest>((await readThere(join(folder, `${known.image}${endings.manifest}`))) ?? '');
	return manifest && {image: known.image, manifest};
}

async function syncPath(path: string): Promise<void> {
	const file = await open(path, 'r');
	await file.sync().finally(() => file.close());
}

/** Puts a link in the place of another, at once; nothing where it is right. */
async function replaceLink(target: string, path: string, work: string): Promise<void> {
	if ((await readlink(path).catch(() => undefined)) === target) return;
	const temporary = join(work, basename(path));
	await symlink(target, temporary);
	await rename(temporary, path);
}

const allFormats = ['qcow2', 'raw', 'vmdk', 'vhdx', 'ova'] as const;

/** Has every `NAME-latest.FORMAT` lead to an image, and to no other that it is not of. */
async function moveLinks(folder: string, {image, manifest}: Latest, work: string): Promise<void> {
	for (const format of allFormats) {
		const path = join(folder, `${manifest.profile}-latest.${format}`);
		const made = manifest.formats.some(one => one.format === format);
		await (made ? replaceLink(`${image}.${format}`, path, work) : rm(path, {force: true}));
	}
}

/** Puts right what a run that was cut off has left of the pointers. */
export async function repairPointers(folder: string, latest: Latest): Promise<void> {
	await withFolder(folder, work => moveLinks(folder, latest, work));
}

/** The images of a profile in the folder, newest first; those without a manifest, which a run that was cut off has left, apart. */
async function listPublished(folder: string, profile: string): Promise<{whole: string[]; parts: string[]}> {
	const names = await readdir(folder);
	const all = new Set(names.flatMap(name => /^(.+-\d{8}-[0-9a-f]{12})\./.exec(name)?.[1] ?? []));
	const own = [...all].filter(name => name.replace(/-\d{8}-[0-9a-f]{12}$/, '') === profile);
	const hasManifest = (image: string) => names.includes(`${image}${endings.manifest}`);
	const dated = own.filter(hasManifest).map(async name => {
		const {mtimeMs} = await stat(join(folder, `${name}${endings.manifest}`));
		return {name, mtimeMs};
	});
	const whole = (await Promise.all(dated)).sort((a, b) => b.mtimeMs - a.mtimeMs).map(({name}) => name);
	return {whole, parts: own.filter(name => !hasManifest(name))};
}

/** The manifest goes first: what a crash has left half removed is known by that. */
async function removeImage(folder: string, image: string): Promise<void> {
	await rm(join(folder, `${image}${endings.manifest}`), {force: true});
	const names = (await readdir(folder)).filter(name => name.startsWith(`${image}.`));
	for (const name of names) await rm(join(folder, name), {recursive: true, force: true});
}

/** Which older images stay. */
export interface Keep {
	/** So many of the newest. */
	newest: number;
	/** Those that were published after this moment. */
	since: Date;
	/** Digests that profiles pin: an image with one of them stays however old it is. */
	pinned: ReadonlySet<string>;
}

/** Removes older images of a profile that nothing keeps, and what runs that were cut off have left; the latest stays. What cannot be read stays too. */
export async function removeOld(folder: string, profile: string, {newest, since, pinned}: Keep): Promise<string[]> {
	const latest = (await readLatest(folder, profile))?.image;
	const {whole, parts} = await listPublished(folder, profile);
	const old: string[] = [];
	for (const image of whole.filter(name => name !== latest).slice(Math.max(0, newest - 1))) {
		const path = join(folder, `${image}${endings.manifest}`);
		if ((await stat(path)).mtime > since) continue;
		const manifest = parseJson<Partial<ImageManifest> | null>(await readFile(path, 'utf8'));
		const digests = manifest?.formats?.map(({sha256}) => sha256);
		if (digests === undefined || digests.some(digest => pinned.has(digest))) continue;
		old.push(image);
	}
	for (const image of [...old, ...parts]) await removeImage(folder, image);
	return old;
}

/** Throws a UserError, before anything slow, where nothing can be published: no folder, none to write to, or no room for another image like the latest. */
export async function checkFolder(folder: string, latest: Latest | undefined): Promise<void> {
	const {bavail, bsize} = await statfs(folder).catch(error => {
		throw new UserError(
			`${folder}: ${error.code === 'ENOENT' ? 'there is no such folder; mount it, or make it with mkdir' : error.message}`,
			{cause: error},
		);
	});
	await withFolder(folder, async () => {});
	const needed = (latest?.manifest.formats ?? []).reduce((sum, {size}) => sum + size, 0);
	if (bavail * bsize >= needed) return;
	const inGiB = (bytes: number) => (bytes / 2 ** 30).toFixed(1);
	throw new UserError(
		`${folder} has ${inGiB(bavail * bsize)} GiB free, and the latest image takes ${inGiB(needed)}; free some, or keep fewer with --keep`,
	);
}

/** Whether all of a published image is there as it was made, and signed by these keys where it shall be. */
export async function isWhole(folder: string, {image}: Latest, {signing, provenance}: Keys): Promise<boolean> {
	const sums = join(folder, `${image}${endings.sums}`);
	const verify = (signers?: string) =>
		verifyArtefact(sums, {signers, provenanceKey: provenance}).then(
			() => true,
			() => false,
		);
	return signing === undefined ? verify() : withSigners(signing, verify);
}

/**
 * Publishes an image that was baked and proven: its files, the manifest last, under a name that is used for it alone; then
 * the pointers to it. The pointers move last and one by one, the JSON at the end; whatever fails before leaves the image
 * before as the latest, and nothing of the new one.
 */
export async function publishImage(
	out: string,
	manifest: ImageManifest,
	{folder, date, keys}: {folder: string; date: Date; keys: Keys},
): Promise<string> {
	const {profile, sha256} = manifest;
	const day = date.toISOString().slice(0, 10).replaceAll('-', '');
	const digest = sha256.slice(0, 12);
	const before = (await listPublished(folder, profile)).whole.find(name => name.endsWith(`-${digest}`));
	const image = before ?? `${profile}-${day}-${digest}`;
	const formats = manifest.formats.map(one => ({...one, file: `${image}.${one.format}`}));
	const published = {...manifest, artefact: `${image}.${formats[0]?.format}`, formats};
	const file = basename(`${out}${endings.sbom}`);
	if (!(await verifyArtefact(`${out}${endings.sums}`)).files.includes(file))
		throw new UserError(`${out}${endings.sums} does not name ${file}; bake it again`);
	const sbom = await readFile(`${out}${endings.sbom}`, 'utf8');
	await withFolder(folder, async work => {
		const text = `${JSON.stringify({schema: 1, image, sha256, formats: formats.map(({format}) => format)}, undefined, '\t')}\n`;
		const fresh = join(work, pointer(profile));
		try {
			await writeFile(fresh, text, {mode: 0o644});
			for (const {format, file, sha256} of formats) {
				// A copy: whoever boots the one in out/ must not write into what is signed.
				await copyFile(`${out}.${format}`, join(work, file), constants.COPYFILE_FICLONE);
				if ((await digestFile(join(work, file))) !== sha256)
					throw new UserError(`${out}.${format} is not what was proven; bake it again`);
			}
			const files = await attestImage(published, {stem: join(work, image), sbom, keys});
			for (const path of [...files, fresh]) await syncPath(path);
			for (const path of files) await rename(path, join(folder, basename(path)));
			await syncPath(folder);
		} catch (error) {
			if (before === undefined) await removeImage(folder, image).catch(() => {}); // what went wrong is told
			throw error;
		}
		await moveLinks(folder, {image, manifest: published}, work);
		await rename(fresh, join(folder, pointer(profile)));
		await syncPath(folder);
	});
	return image;
}
