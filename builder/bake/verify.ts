import {access, readFile} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {digestFile} from '../build/cache.ts';
import type {Manifest} from '../build/manifest.ts';
import {parseJson} from '../folder.ts';
import {run, UserError} from '../run.ts';
import {endings, namespace} from './attest.ts';
import {type Subject, verifyEnvelope} from './provenance.ts';

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

/** The digests that a file lists, by name. Throws a UserError where it is damaged. */
function parseSums(sums: string, text: string): Subject[] {
	const lines = text.split('\n').filter(Boolean);
	if (lines.length === 0) throw new UserError(`${sums} names no file`);
	return lines.map(line => {
		const [, sha256, name] = /^([0-9a-f]{64}) {2}([\w.+-]+)$/.exec(line) ?? [];
		if (sha256 === undefined || name === undefined) throw new UserError(`${sums} is damaged: ${JSON.stringify(line)}`);
		return {name, sha256};
	});
}

const isThere = (path: string) =>
	access(path).then(
		() => true,
		() => false,
	);

/** The file of digests that an artefact's file belongs to. Throws a UserError where there is none beside it. */
export async function findSums(path: string): Promise<string> {
	if (path.endsWith(endings.sums)) return path;
	if (path.endsWith(endings.signature)) return path.slice(0, -'.sig'.length);
	const own = Object.values(endings).filter(ending => path.endsWith(ending));
	const stems = [
		...own.map(ending => path.slice(0, -ending.length)),
		...(path.endsWith('.iso') ? [path] : []),
		...(path.endsWith('.manifest.json') ? [path.replace(/\.manifest\.json$/, '.iso')] : []),
		...(/\.(qcow2|raw|vmdk|vhdx|ova)$/.test(path) ? [path.replace(/\.\w+$/, '')] : []),
	];
	for (const stem of stems) if (await isThere(`${stem}${endings.sums}`)) return `${stem}${endings.sums}`;
	throw new UserError(
		`${path}: nothing next to it says what it should be. Try: download its ${endings.sums} and ${endings.signature} too`,
	);
}

export interface VerifyOptions {
	/** An allowed signers file; without it no signature is checked. */
	signers?: string | undefined;
	/** The public key of the provenance; without it no envelope is checked. */
	provenanceKey?: string | undefined;
	/** The file that is asked about; without it every file must be there. */
	file?: string | undefined;
}

export interface Verified {
	signer: string | undefined;
	/** Of the key that signed the provenance. */
	keyId: string | undefined;
	/** Those that are there, and right. */
	files: string[];
	/** Those that are not there. */
	absent: string[];
	/** The date of what it was made of, seconds since 1970; undefined where its manifest is not there. */
	epoch: number | undefined;
}

async function verifyProvenance(folder: string, listed: readonly Subject[], key: string): Promise<string> {
	const name = listed.find(({name}) => name.endsWith(endings.envelope))?.name;
	if (name === undefined) throw new UserError('it has no signed provenance: it was made without --sign-provenance');
	const text = await readFile(join(folder, name), 'utf8').catch(error => {
		throw new UserError(`${join(folder, name)} is not there; download it too`, {cause: error});
	});
	const {keyId, subjects} = await verifyEnvelope(text, key);
	for (const {name, sha256} of subjects) {
		if (listed.find(one => one.name === name)?.sha256 !== sha256)
			throw new UserError(`the provenance is about another ${name}`);
	}
	return keyId;
}

/** Checks an artefact with all that is beside it. Throws a UserError that names the first thing that is not right. */
export async function verifyArtefact(sums: string, options: VerifyOptions = {}): Promise<Verified> {
	const {signers, provenanceKey, file} = options;
	const folder = dirname(sums);
	const text = await readFile(sums, 'utf8').catch(error => {
		throw new UserError(`${sums}: ${error.code === 'ENOENT' ? 'there is no such file' : error.message}`, {
			cause: error,
		});
	});
	const signer = signers === undefined ? undefined : await findSigner(sums, text, signers);
	const listed = parseSums(sums, text);
	if (file !== undefined && !listed.some(({name}) => name === file))
		throw new UserError(`${sums} is not of ${file}, which it does not name`);
	const [files, absent]: [string[], string[]] = [[], []];
	for (const {name, sha256} of listed) {
		const path = join(folder, name);
		if (!(await isThere(path))) {
			if (file === undefined || file === name) throw new UserError(`${path}: there is no such file`);
			absent.push(name);
			continue;
		}
		const found = await digestFile(path);
		if (found !== sha256) throw new UserError(`${path} is not what it was: its SHA-256 is ${found}, and was ${sha256}`);
		files.push(name);
	}
	const keyId = provenanceKey === undefined ? undefined : await verifyProvenance(folder, listed, provenanceKey);
	const manifest = files.find(name => name.endsWith(endings.manifest) || name.endsWith('.manifest.json'));
	const read = manifest && parseJson<Partial<Manifest> | null>(await readFile(join(folder, manifest), 'utf8'));
	return {signer, keyId, files, absent, epoch: read ? read.epoch : undefined};
}

const day = 24 * 3600;

/** How old the packages of an artefact are, in words. Throws a UserError when they are older than so many days. */
export function describeAge(epoch: number | undefined, now: number, maxAge: number | undefined): string {
	if (epoch === undefined) {
		if (maxAge === undefined) return 'its manifest is not here, so its date is not known';
		throw new UserError('--max-age needs its manifest, which is not here; download it too');
	}
	const days = Math.floor((now / 1000 - epoch) / day);
	const words = `its packages are of ${new Date(epoch * 1000).toISOString().slice(0, 10)}, ${days} days ago`;
	if (maxAge !== undefined && (days > maxAge || days < -1))
		throw new UserError(`${words}, and --max-age allows ${maxAge}. Try: get a newer one`);
	return words;
}
