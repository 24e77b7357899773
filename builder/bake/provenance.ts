import {createHash, createPrivateKey, createPublicKey, type KeyObject, sign, verify} from 'node:crypto';
import {readFile} from 'node:fs/promises';
import * as z from 'zod';
import type {Manifest} from '../build/manifest.ts';
import {parseJson} from '../folder.ts';
import {UserError} from '../run.ts';

/** A file that a provenance is about. */
export interface Subject {
	name: string;
	sha256: string;
}

export interface Made {
	subjects: readonly Subject[];
	/** What kind of build it was: an image, or the ISO of a medium. */
	kind: 'bake' | 'iso';
	profileDigest: string;
	/** What this kind of build depends on besides. */
	parameters: Readonly<Record<string, unknown>>;
}

/** How an artefact was made, as SLSA provenance in an in-toto statement (slsa.dev/spec/v1.0/provenance). */
export function makeStatement(manifest: Manifest, {subjects, kind, profileDigest, parameters}: Made): object {
	const {packages, inputs, tools, epoch, buildId, mode, release, assets, profile} = manifest;
	const embedded = assets.embedded.map(sha256 => ({name: `asset ${sha256}`, digest: {sha256}}));
	const debs = packages.flatMap(({name, version, architecture, sha256}) => {
		return sha256 ? [{name: `${name}_${version}_${architecture}.deb`, digest: {sha256}}] : [];
	});
	return {
		_type: 'https://in-toto.io/Statement/v1',
		subject: subjects.map(({name, sha256}) => ({name, digest: {sha256}})),
		predicateType: 'https://slsa.dev/provenance/v1',
		predicate: {
			buildDefinition: {
				buildType: `tag:bringup,2026:${kind}/1`,
				externalParameters: {profile: {name: profile, digest: {sha256: profileDigest}}, release},
				internalParameters: {buildId, inputs, mode, epoch, ...parameters},
				resolvedDependencies: [...debs, ...embedded],
			},
			runDetails: {builder: {id: 'tag:bringup,2026:builder', version: tools}, metadata: {invocationId: buildId}},
		},
	};
}

const payloadType = 'application/vnd.in-toto+json';

/** The bytes that a DSSE signature is of (github.com/secure-systems-lab/dsse, protocol.md: PAE). */
export function encodePae(type: string, payload: Buffer): Buffer {
	return Buffer.concat([Buffer.from(`DSSEv1 ${Buffer.byteLength(type)} ${type} ${payload.length} `), payload]);
}

const envelope = z.looseObject({
	payloadType: z.string(),
	payload: z.base64(),
	signatures: z.array(z.looseObject({keyid: z.string().optional(), sig: z.base64()})).min(1),
});

/** ECDSA over P-256 with SHA-256, and Ed25519: what cosign takes too. */
function digestOfKey(key: KeyObject, path: string): 'sha256' | undefined {
	if (key.asymmetricKeyType === 'ed25519') return undefined;
	if (key.asymmetricKeyDetails?.namedCurve === 'prime256v1') return 'sha256';
	throw new UserError(`${path} is neither an ECDSA P-256 key nor an Ed25519 key; make one: ${remedy}`);
}

const remedy = 'openssl genpkey -algorithm ed25519 -out provenance.pem';

/** The digest of the public key (SHA-256 of its SubjectPublicKeyInfo), by which people tell keys apart. */
const identify = (key: KeyObject) =>
	createHash('sha256')
		.update(key.export({type: 'spki', format: 'der'}))
		.digest('hex');

async function readKey(path: string, parse: (pem: string) => KeyObject, what: string): Promise<KeyObject> {
	const pem = await readFile(path, 'utf8').catch(error => {
		throw new UserError(`${path}: there is no such key to read`, {cause: error});
	});
	try {
		return parse(pem);
	} catch (error) {
		throw new UserError(`${path} is not ${what} in PEM without a passphrase; make one: ${remedy}`, {cause: error});
	}
}

/** Reads the private key that signs provenance. Throws a UserError when it is none: before anything slow. */
export async function readSigner(path: string): Promise<KeyObject> {
	const key = await readKey(path, createPrivateKey, 'a private key');
	digestOfKey(key, path);
	return key;
}

/** A statement in a DSSE envelope, on one line, as verifiers of in-toto attestations read it. */
export async function signStatement(statement: object, path: string): Promise<string> {
	const key = await readSigner(path);
	const payload = Buffer.from(JSON.stringify(statement));
	const sig = sign(digestOfKey(key, path), encodePae(payloadType, payload), key).toString('base64');
	const signed = {
		payloadType,
		payload: payload.toString('base64'),
		signatures: [{keyid: identify(createPublicKey(key)), sig}],
	} satisfies z.output<typeof envelope>;
	return `${JSON.stringify(signed)}\n`;
}

const subjectsOf = z.looseObject({
	_type: z.literal('https://in-toto.io/Statement/v1'),
	subject: z.array(z.looseObject({name: z.string(), digest: z.looseObject({sha256: z.string()})})).min(1),
	predicateType: z.literal('https://slsa.dev/provenance/v1'),
});

/** Checks an envelope with a public key, or the public half of a private one; gives the digest of the key and what it is about. Throws a UserError. */
export async function verifyEnvelope(text: string, path: string): Promise<{keyId: string; subjects: Subject[]}> {
	const key = await readKey(path, createPublicKey, 'a public key');
	const read = envelope.safeParse(parseJson(text));
	if (!read.success || read.data.payloadType !== payloadType)
		throw new UserError('the provenance is not a DSSE envelope of an in-toto statement');
	const payload = Buffer.from(read.data.payload, 'base64');
	const pae = encodePae(payloadType, payload);
	const isRight = ({sig}: {sig: string}) => verify(digestOfKey(key, path), pae, key, Buffer.from(sig, 'base64'));
	if (!read.data.signatures.some(isRight)) throw new UserError(`the provenance is not signed by ${path}`);
	const statement = subjectsOf.safeParse(parseJson(payload.toString()));
	if (!statement.success) throw new UserError('the provenance is not an in-toto statement of SLSA provenance');
	const subjects = statement.data.subject.map(({name, digest}) => ({name, sha256: digest.sha256}));
	return {keyId: identify(key), subjects};
}
