import {constants} from 'node:fs';
import {access, mkdir, open, readdir, readFile, rm, stat, truncate} from 'node:fs/promises';
import {basename, dirname, join} from 'node:path';
import {parseJson} from '../folder.ts';
import {awaitLock, UserError, withLock} from '../run.ts';

/** Some bytes of a file as text. */
async function readSome(path: string, length: number, position = 0): Promise<string> {
	const file = await open(path, 'r');
	try {
		const {buffer, bytesRead} = await file.read(Buffer.alloc(length), 0, length, position);
		return buffer.toString('latin1', 0, bytesRead);
	} finally {
		await file.close();
	}
}

/** The name of an ISO's volume, or '' (ECMA-119, 8.4.7). */
async function readVolume(iso: string): Promise<string> {
	const text = await readSome(iso, 72, 16 * 2048);
	return text.slice(1, 6) === 'CD001' ? text.slice(40).trim() : '';
}

/** Whether a file holds JSON with these keys. */
export const hasKeys =
	(...keys: readonly string[]) =>
	async (path: string): Promise<boolean> => {
		const value = parseJson<unknown>(await readFile(path, 'utf8'));
		return typeof value === 'object' && value !== null && keys.every(key => key in value);
	};

/** Whether an ISO has one of these names. */
export const isVolume =
	(...names: readonly string[]) =>
	async (path: string): Promise<boolean> =>
		names.includes(await readVolume(path));

const begins = (pattern: RegExp) => async (path: string) => pattern.test(await readSome(path, 200));

/** Of a build; run.ts begins each program with its command. */
const isLog = begins(/^(\$ |$)/);

/** Throws a UserError where a file would be replaced that bringup has not made. */
export async function checkReplaced(path: string, isOurs: (path: string) => Promise<boolean>): Promise<void> {
	const found = await stat(path).catch(() => undefined);
	if (found === undefined || (found.isFile() && (found.size === 0 || (await isOurs(path))))) return;
	if (found.isDirectory()) throw new UserError(`cannot write ${path}: it is a folder. Choose another place with --out`);
	throw new UserError(`${path} is there, and bringup has not made it: remove it, or choose another place with --out`);
}

/** The file beside an artefact that says what it was made from. */
export const manifestPath = (artefact: string) => `${artefact.replace(/\.iso$/, '')}.manifest.json`;

/** The file beside an artefact that has what the programs of its build said; and the lock of that build. */
export const logPath = (artefact: string) => `${artefact.replace(/\.iso$/, '')}.log`;

const isManifest = hasKeys('schema', 'artefact', 'buildId');

/** Makes the folder of a file that will be written. Throws a UserError before anything slow when it cannot be. */
export async function prepareFolder(path: string): Promise<void> {
	try {
		await mkdir(dirname(path), {recursive: true});
		await access(dirname(path), constants.W_OK);
	} catch (error) {
		throw new UserError(`cannot write ${path}: ${(error as Error).message}. Choose another place with --out`, {
			cause: error,
		});
	}
}

/** The same for an ISO and what belongs beside it; throws too when it would replace what is not of bringup. */
export async function prepareOutput(iso: string): Promise<void> {
	await prepareFolder(iso);
	await checkReplaced(manifestPath(iso), isManifest);
	const described = await readFile(manifestPath(iso), 'utf8').catch(() => '{}');
	// live-build gives its own name to the volume.
	const isDescribed = parseJson<{artefact?: string}>(described)?.artefact === basename(iso);
	await checkReplaced(iso, async path => isDescribed || isVolume('BRINGUP')(path));
	await checkReplaced(`${iso}.sha256`, begins(/^[0-9a-f]{64} {2}/));
	await checkReplaced(logPath(iso), isLog);
}

/** The same for a golden image, whose files are named by a manifest of its own, and for the medium that installs it. */
export async function prepareImage(out: string): Promise<void> {
	await prepareOutput(`${out}.iso`);
	const isImage = hasKeys('schema', 'buildId', 'formats')(`${out}.image.json`).catch(() => false);
	const endings = ['qcow2', 'raw', 'vmdk', 'vhdx', 'ova', 'image.json', 'image.sha256', 'cdx.json', 'intoto.json'];
	for (const ending of endings) await checkReplaced(`${out}.${ending}`, () => isImage);
}

/** Whether a folder is a netboot tree. */
export const isTree = (folder: string): Promise<boolean> =>
	hasKeys('schema', 'profile', 'buildId', 'layers')(join(folder, 'tree.json')).catch(() => false);

/** Throws a UserError where something else stands in the place of a netboot tree, or of what belongs beside it. */
export async function prepareTree(out: string): Promise<void> {
	const found = await stat(out).catch(() => undefined);
	if (found && !(await isTree(out)) && (await readdir(out).catch(() => ['a file'])).length > 0)
		throw new UserError(`${out} is there and is no netboot tree; choose another place with --out`);
	await checkReplaced(manifestPath(out), isManifest);
	await checkReplaced(logPath(out), isLog);
	await checkReplaced(`${out}.tar`, async path => (await readSome(path, 100)).startsWith(`${basename(out)}/`));
}

/** Uses the cache: nothing of it is cleaned away meanwhile. */
export async function withCache<T>(cache: string, signal: AbortSignal, use: () => Promise<T>): Promise<T> {
	await mkdir(cache, {recursive: true});
	return awaitLock(join(cache, 'lock'), {signal, shared: true}, use);
}

/** Makes an artefact while no other build makes the same, with its log begun anew. Throws a UserError where one does. */
export async function withOutput<T>(
	out: string,
	{cache, signal}: {cache: string; signal: AbortSignal},
	use: () => Promise<T>,
): Promise<T> {
	const log = logPath(out);
	await mkdir(dirname(log), {recursive: true});
	const busy = `another build makes ${out} at this moment; wait for it, or choose another place with --out`;
	return withLock(log, busy, async () => {
		await truncate(log).catch(() => {});
		try {
			return await withCache(cache, signal, use);
		} finally {
			const size = await stat(log).then(
				found => found.size,
				() => 1,
			);
			if (size === 0) await rm(log, {force: true});
		}
	});
}
