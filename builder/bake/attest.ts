import {readFile, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {basename, dirname, join} from 'node:path';
import {digestFile} from '../build/cache.ts';
import {withFolder} from '../folder.ts';
import {run, UserError} from '../run.ts';
import type {ImageManifest} from './manifest.ts';
import {makeStatement, readSigner, type Subject, signStatement} from './provenance.ts';

/** The endings of what stands beside the files of an image. */
export const endings = {
	manifest: '.image.json',
	sbom: '.cdx.json',
	provenance: '.intoto.json',
	/** The same in a DSSE envelope, signed. */
	envelope: '.intoto.jsonl',
	/** The digests of all files; it is what is signed. */
	sums: '.image.sha256',
	signature: '.image.sha256.sig',
} as const;

/** What a signature of ours is for: one made for another purpose does not count (ssh-keygen(1), -Y sign). */
export const namespace = 'bringup-image';

/** Who signs, and with what: a private key of OpenSSH, or the public one of a key that the agent has. */
export interface Signing {
	key: string;
}

/** The keys of an artefact: that of OpenSSH signs the digests of all its files, that in PEM (a path) the provenance. */
export interface Keys {
	signing?: Signing | undefined;
	provenance?: string | undefined;
}

/** Signs a file; the signature stands beside it, with the ending .sig, in the place of another. Throws a UserError when the key cannot sign. */
export async function sign(path: string, {key}: Signing): Promise<void> {
	await rm(`${path}.sig`, {force: true});
	await run(['ssh-keygen', '-q', '-Y', 'sign', '-n', namespace, '-f', key, path]).catch(error => {
		throw new UserError(`${key} does not sign: ${String(error.output ?? error.message).trim()}`, {cause: error});
	});
}

/** Whether the keys sign without a question: before anything slow. */
export async function checkKeys({signing, provenance}: Keys, folder: string): Promise<void> {
	if (provenance !== undefined) await readSigner(provenance);
	if (signing === undefined) return;
	await withFolder(folder, async work => {
		await writeFile(join(work, 'nothing'), '');
		await sign(join(work, 'nothing'), signing);
	});
}

/** Gives an allowed signers file (ssh-keygen(1)) of the key that signs, and of no other. */
export async function withSigners<T>({key}: Signing, use: (signers: string) => Promise<T>): Promise<T> {
	const own = await readFile(key, 'utf8');
	const isPrivate = own.startsWith('-----BEGIN');
	// One with a passphrase, which the agent has: its public half lies beside it.
	const derive = () => run(['ssh-keygen', '-y', '-P', '', '-f', key]).catch(() => readFile(`${key}.pub`, 'utf8'));
	const line = isPrivate ? await derive() : own;
	return withFolder(tmpdir(), async work => {
		const signers = join(work, 'signers');
		await writeFile(signers, `own ${line}`);
		return use(signers);
	});
}

/** What is written next to an artefact, and with which keys. */
export interface Attested {
	/** The path without its ending. */
	stem: string;
	/** The files of the artefact, in the same folder. */
	files: readonly Subject[];
	/** Written next to the artefact, or there already. */
	manifest: {path: string; text?: string};
	sbom: string;
	statement: object;
	keys: Keys;
}

/** Writes what belongs to an artefact next to it: manifest, SBOM, provenance, digests of them all, and with keys the signatures. Gives all files of it, the manifest last. */
export async function attest({stem, files, manifest, sbom, statement, keys}: Attested): Promise<string[]> {
	const place = (ending: string) => `${stem}${ending}`;
	if (manifest.text !== undefined) await writeFile(manifest.path, manifest.text);
	await writeFile(place(endings.sbom), sbom);
	await writeFile(place(endings.provenance), `${JSON.stringify(statement, undefined, '\t')}\n`);
	const envelope = keys.provenance === undefined ? [] : [place(endings.envelope)];
	for (const path of envelope) await writeFile(path, await signStatement(statement, keys.provenance ?? ''));
	const beside = [place(endings.sbom), place(endings.provenance), ...envelope];
	const own = await Promise.all([manifest.path, ...beside].map(async path => [path, await digestFile(path)] as const));
	const lines = [...files.map(({name, sha256}) => [name, sha256] as const), ...own];
	await writeFile(place(endings.sums), lines.map(([path, sha256]) => `${sha256}  ${basename(path)}\n`).join(''));
	if (keys.signing) await sign(place(endings.sums), keys.signing);
	const sums = [place(endings.sums), ...(keys.signing ? [place(endings.signature)] : [])];
	return [...files.map(({name}) => join(dirname(stem), name)), ...beside, ...sums, manifest.path];
}

/** The same for an image. */
export async function attestImage(
	manifest: ImageManifest,
	{stem, sbom, keys}: {stem: string; sbom: string; keys: Keys},
): Promise<string[]> {
	const files = await Promise.all(
		manifest.formats.map(async ({file: name}) => ({name, sha256: await digestFile(join(dirname(stem), name))})),
	);
	const {formats, recipe, accelerator, profileDigest} = manifest;
	const subjects = formats.map(({file: name, sha256}) => ({name, sha256}));
	const made = {subjects, kind: 'bake', profileDigest, parameters: {recipe, accelerator}} as const;
	const text = `${JSON.stringify(manifest, undefined, '\t')}\n`;
	const statement = makeStatement(manifest, made);
	return attest({stem, files, manifest: {path: `${stem}${endings.manifest}`, text}, sbom, statement, keys});
}
