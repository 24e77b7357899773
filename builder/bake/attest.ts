import {readFile, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {basename, dirname, join} from 'node:path';
import {digestFile} from '../build/cache.ts';
import {withFolder} from '../folder.ts';
import {run, UserError} from '../run.ts';
import type {ImageManifest} from './bake.ts';

/** The endings of what stands beside the files of an image. */
export const endings = {
	manifest: '.image.json',
	sbom: '.cdx.json',
	provenance: '.intoto.json',
	/** The digests of all files; it is what is signed. */
	sums: '.image.sha256',
	signature: '.image.sha256.sig',
} as const;

/** What a signature of ours is for: one made for another purpose does not count (ssh-keygen(1), -Y sign). */
const namespace = 'bringup-image';

/** Who signs, and with what: a private key of OpenSSH, or the public one of a key that the agent has. */
export interface Signing {
	key: string;
}

/** How the image was made, as SLSA provenance in an in-toto statement (slsa.dev/spec/v1.0/provenance). */
function makeProvenance(manifest: ImageManifest): string {
	const {packages, inputs, tools, formats, epoch, recipe, buildId, mode, accelerator, release, profileDigest, assets} =
		manifest;
	const subject = formats.map(({file, sha256}) => ({name: file, digest: {sha256}}));
	const embedded = assets.embedded.map(sha256 => ({name: `asset ${sha256}`, digest: {sha256}}));
	const debs = packages.flatMap(({name, version, architecture, sha256}) => {
		return sha256 ? [{name: `${name}_${version}_${architecture}.deb`, digest: {sha256}}] : [];
	});
	const statement = {
		_type: 'https://in-toto.io/Statement/v1',
		subject,
		predicateType: 'https://slsa.dev/provenance/v1',
		predicate: {
			buildDefinition: {
				buildType: 'tag:bringup,2026:bake/1',
				externalParameters: {profile: {name: manifest.profile, digest: {sha256: profileDigest}}, release},
				internalParameters: {recipe, buildId, inputs, mode, accelerator, epoch},
				resolvedDependencies: [...debs, ...embedded],
			},
			runDetails: {builder: {id: 'tag:bringup,2026:builder', version: tools}, metadata: {invocationId: buildId}},
		},
	};
	return `${JSON.stringify(statement, undefined, '\t')}\n`;
}

/** Signs a file; the signature stands beside it, with the ending .sig, in the place of another. Throws a UserError when the key cannot sign. */
export async function sign(path: string, {key}: Signing): Promise<void> {
	await rm(`${path}.sig`, {force: true});
	await run(['ssh-keygen', '-q', '-Y', 'sign', '-n', namespace, '-f', key, path]).catch(error => {
		throw new UserError(`${key} does not sign: ${String(error.output ?? error.message).trim()}`, {cause: error});
	});
}

/** Whether the key signs without a question: before anything slow. */
export async function checkKey(signing: Signing, folder: string): Promise<void> {
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

/** Writes what belongs to an image beside it: manifest, SBOM, provenance, digests of them all, and with a key the signature. Gives all files of the image, the manifest last. */
export async function attest(
	manifest: ImageManifest,
	{stem, sbom, signing}: {stem: string; sbom: string; signing: Signing | undefined},
): Promise<string[]> {
	await writeFile(`${stem}${endings.manifest}`, `${JSON.stringify(manifest, undefined, '\t')}\n`);
	await writeFile(`${stem}${endings.sbom}`, sbom);
	await writeFile(`${stem}${endings.provenance}`, makeProvenance(manifest));
	const beside = [endings.manifest, endings.sbom, endings.provenance].map(ending => `${stem}${ending}`);
	const files = [...manifest.formats.map(({file}) => join(dirname(stem), file)), ...beside];
	const lines = await Promise.all(files.map(async file => `${await digestFile(file)}  ${basename(file)}\n`));
	await writeFile(`${stem}${endings.sums}`, lines.join(''));
	if (signing) await sign(`${stem}${endings.sums}`, signing);
	const sums = [`${stem}${endings.sums}`, ...(signing ? [`${stem}${endings.signature}`] : [])];
	return [...files.filter(file => file !== beside[0]), ...sums, `${stem}${endings.manifest}`];
}

/** Who signed the digests, by the allowed signers file (ssh-keygen(1)). Throws a UserError when nobody did whom it names. */
async function findSigner(sums: string, text: string, signers: string): Promise<string> {
	const signature = `${sums}.sig`;
	const refuse = (error: unknown) => {
		const said = String((error as {output?: string}).output ?? (error as Error).message).trim();
		throw new UserError(`${sums} has no signature that ${signers} allows: ${said}`, {cause: error});
	};
	const found = await run(['ssh-keygen', '-Y', 'find-principals', '-s', signature, '-f', signers]).catch(refuse);
	const [signer = ''] = found.trim().split('\n');
	const verify = ['-Y', 'verify', '-f', signers, '-I', signer, '-n', namespace, '-s', signature];
	await run(['ssh-keygen', ...verify], {input: text}).catch(refuse);
	return signer;
}

/** Checks an image with all that is beside it, and that `file` is one of its files. Throws a UserError that names the first thing that is not right. */
export async function verifyArtefact(
	sums: string,
	signers: string | undefined,
	file?: string,
): Promise<{signer: string | undefined; files: string[]}> {
	const text = await readFile(sums, 'utf8').catch(error => {
		throw new UserError(`cannot read ${sums}: ${error.message}`, {cause: error});
	});
	const signer = signers === undefined ? undefined : await findSigner(sums, text, signers);
	const lines = text.split('\n').filter(Boolean);
	const files: string[] = [];
	for (const line of lines) {
		const [, sha256, name] = /^([0-9a-f]{64}) {2}([\w.+-]+)$/.exec(line) ?? [];
		if (sha256 === undefined || name === undefined) throw new UserError(`${sums} is damaged: ${JSON.stringify(line)}`);
		const path = join(dirname(sums), name);
		const found = await digestFile(path).catch(error => {
			throw new UserError(`cannot read ${path}: ${error.message}`, {cause: error});
		});
		if (found !== sha256) throw new UserError(`${path} is not what it was: its SHA-256 is ${found}, and was ${sha256}`);
		files.push(name);
	}
	if (files.length === 0) throw new UserError(`${sums} names no file`);
	if (file !== undefined && !files.includes(file))
		throw new UserError(`${sums} is not of ${file}, which it does not name`);
	return {signer, files};
}
