import {cp, mkdir, readdir, readFile, rm, symlink, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {Writable} from 'node:stream';
import test from 'ava';
import {attestImage} from '../bake/attest.ts';
import {listOthers} from '../bake/contents.ts';
import type {ImageManifest} from '../bake/manifest.ts';
import {attestIso} from '../bake/medium.ts';
import {readSigner, verifyEnvelope} from '../bake/provenance.ts';
import {makeSbom} from '../bake/sbom.ts';
import {findSums, verifyArtefact} from '../bake/verify.ts';
import {digestFile} from '../build/cache.ts';
import type {Manifest} from '../build/manifest.ts';
import {makeFolder, withFolder} from '../folder.ts';
import {packageFolder} from '../paths.ts';
import {type CompleteProfile, completeProfile} from '../profile/complete.ts';
import {findProfile, loadProfile} from '../profile/profile.ts';
import {run} from '../run.ts';
import {verify} from './verify-artefact.ts';

const day = 24 * 3600;
const epoch = Math.floor(Date.now() / 1000) - 10 * day;

const manifestOf = (sha256: string): Manifest => ({
	schema: 1,
	artefact: 'guest',
	sha256,
	size: 1,
	profile: 'guest',
	buildId: '0123456789abcdef',
	release: 'trixie',
	mode: 'root',
	epoch,
	inputs: {},
	assets: {embedded: ['15811d34187e03fe29d0e46108c42cc33e62cec1b3d9d80f50944536ebcad40a'], leftToMachine: []},
	packages: [{name: 'less', version: '1:668-1+b1', architecture: 'amd64', sha256: 'b'.repeat(64)}],
	tools: {node: 'v20', bringup: '0.1.0 (7ee470423583)'},
	sizes: {},
	seconds: {},
});

const profile = await loadProfile(await findProfile('k3s-server-vm'));
const completed = completeProfile(profile, {
	mirror: 'http://mirror.example/debian',
	securityMirror: undefined,
	sshKeys: ['ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEgcppmhmnOuvEPs/uZFLWyxgq4z5jb03cyQg9Iyc7jY x'],
});
if (Array.isArray(completed)) throw new Error(JSON.stringify(completed));
const complete: CompleteProfile = completed;

interface Place {
	folder: string;
	key: string;
	signers: string;
	/** The private keys in PEM, and the public ones beside them with the ending .pub. */
	pems: {ed25519: string; p256: string};
}

async function makePem(folder: string, name: string, ...options: string[]): Promise<string> {
	const path = join(folder, `${name}.pem`);
	await run(['openssl', 'genpkey', ...options, '-out', path]);
	await run(['openssl', 'pkey', '-in', path, '-pubout', '-out', `${path}.pub`]);
	return path;
}

/** An image of two formats and an ISO, attested and signed. */
async function make(work: string): Promise<Place> {
	const folder = join(work, 'out');
	await mkdir(folder);
	const key = join(work, 'key');
	await run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', '', '-f', key]);
	const signers = join(work, 'signers');
	await writeFile(signers, `images@example.org ${await readFile(`${key}.pub`, 'utf8')}`);
	const p256 = await makePem(work, 'p256', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256');
	const ed25519 = await makePem(work, 'ed25519', '-algorithm', 'ed25519');
	const formats = [];
	for (const format of ['qcow2', 'vmdk'] as const) {
		await writeFile(join(folder, `guest.${format}`), format);
		formats.push({
			format,
			file: `guest.${format}`,
			sha256: await digestFile(join(folder, `guest.${format}`)),
			size: 5,
		});
	}
	const sha256 = formats[0]?.sha256 ?? '';
	const made = {...manifestOf(sha256), formats, profileDigest: 'c'.repeat(64), recipe: 'r', virtualSize: 1};
	const manifest: ImageManifest = {...made, proof: ['x'], accelerator: 'kvm'};
	const others = await listOthers(complete.fields, manifest);
	const sbom = makeSbom([], others, {name: 'guest', sha256, release: 'trixie', epoch});
	await attestImage(manifest, {stem: join(folder, 'guest'), sbom, keys: {signing: {key}, provenance: p256}});
	const iso = join(folder, 'node.iso');
	await writeFile(iso, 'an ISO');
	await writeFile(join(folder, 'node.manifest.json'), JSON.stringify(manifestOf(await digestFile(iso))));
	await attestIso(iso, complete, {signing: {key}, provenance: ed25519});
	return {folder, key, signers, pems: {ed25519, p256}};
}

const root = await makeFolder(tmpdir());
const made = await make(root);
test.after.always(() => rm(root, {recursive: true}));

/** Runs with a copy of them. */
const inFolder = (use: (place: Place) => Promise<void>) =>
	withFolder(tmpdir(), async work => {
		const folder = join(work, 'out');
		await cp(made.folder, folder, {recursive: true});
		await use({...made, folder});
	});

/** Runs the command as a person does. */
async function call(...argv: string[]): Promise<{code: number | undefined; said: string}> {
	let said = '';
	const screen = () =>
		new Writable({
			write(chunk, _, done) {
				said += chunk;
				done();
			},
		}) as never;
	const signal = new AbortController().signal;
	const code = await verify.run(argv, {out: screen(), err: screen(), signal, environment: {}});
	return {code, said};
}

test('without a signature nothing passes, but where it is said', async t =>
	inFolder(async ({folder, signers}) => {
		const image = join(folder, 'guest.qcow2');
		for (const prepare of [async () => {}, () => rm(join(folder, 'guest.image.sha256.sig'))]) {
			await prepare();
			const {code, said} = await call(image);
			t.is(code, 1);
			t.regex(said, /signature not checked\n.*days ago\nerror: nobody's signature was checked/);
			t.is((await call(image, '--unsigned')).code, 0);
		}
		await t.throwsAsync(call(image, '--signers', signers), {message: /has no signature that/});
		await t.throwsAsync(call(image, '--signers', signers, '--unsigned'), {message: /--unsigned checks no signature/});
	}));

test('every file of an image and of an ISO leads to its digests, also through a link', async t =>
	inFolder(async ({folder, signers}) => {
		const names = (await readdir(folder)).sort();
		for (const name of names) {
			const {code, said} = await call(join(folder, name), '--signers', signers);
			t.is(code, 0, name);
			t.regex(said, /signed by images@example\.org/);
		}
		t.deepEqual(
			names.filter(name => name.startsWith('node')),
			[
				'node.iso',
				...['cdx.json', 'image.sha256', 'image.sha256.sig', 'intoto.json', 'intoto.jsonl'].map(
					end => `node.iso.${end}`,
				),
			].concat('node.manifest.json'),
		);
		await symlink('guest.qcow2', join(folder, 'guest-latest.qcow2'));
		t.is((await call(join(folder, 'guest-latest.qcow2'), '--signers', signers)).code, 0);
		await t.throwsAsync(call('/etc/passwd'), {
			message: /^\/etc\/passwd: nothing next to it says what it should be\. Try/,
		});
		await t.throwsAsync(call(join(folder, 'none')), {message: /there is no /});
	}));

test('of an image of two formats one may be downloaded alone, and what was not is told', async t =>
	inFolder(async ({folder, signers}) => {
		await rm(join(folder, 'guest.vmdk'));
		const {code, said} = await call(join(folder, 'guest.qcow2'), '--signers', signers);
		t.is(code, 0);
		t.regex(said, /guest\.qcow2: OK/);
		t.regex(said, /guest\.vmdk: not here, not checked/);
		await t.throwsAsync(call(join(folder, 'guest.image.sha256'), '--signers', signers), {
			message: /guest\.vmdk: there is no such file/,
		});
		await writeFile(join(folder, 'guest.qcow2'), 'other');
		await t.throwsAsync(call(join(folder, 'guest.qcow2'), '--signers', signers), {message: /is not what it was/});
	}));

test('an artefact that is too old does not pass, nor one whose date is not known', async t =>
	inFolder(async ({folder, signers}) => {
		for (const name of ['guest.qcow2', 'node.iso']) {
			const check = (...more: string[]) => call(join(folder, name), '--signers', signers, ...more);
			t.regex((await check('--max-age', '11')).said, /its packages are of \d{4}-\d\d-\d\d, 10 days ago/);
			await t.throwsAsync(check('--max-age', '9'), {message: /10 days ago, and --max-age allows 9/});
			await t.throwsAsync(check('--max-age', 'x'), {message: /number of days/});
		}
		await rm(join(folder, 'guest.image.json'));
		const check = (...more: string[]) => call(join(folder, 'guest.qcow2'), '--signers', signers, ...more);
		t.regex((await check()).said, /its date is not known/);
		await t.throwsAsync(check('--max-age', '11'), {message: /needs its manifest/});
	}));

test('the provenance is a DSSE envelope that openssl and a program of its own verify', async t =>
	inFolder(async ({folder, pems}) => {
		for (const [name, pem] of [
			['guest', pems.p256],
			['node.iso', pems.ed25519],
		] as const) {
			const path = join(folder, `${name}.intoto.jsonl`);
			const text = await readFile(path, 'utf8');
			t.is(text.trim().split('\n').length, 1, 'a line each, as slsa.dev says');
			const {payload, payloadType, signatures} = JSON.parse(text);
			t.is(payloadType, 'application/vnd.in-toto+json');
			// By another's words: the length of each part in decimal digits, then the part (DSSE, protocol.md).
			const program = `import base64, json, sys
e = json.load(open(sys.argv[1]))
body, kind = base64.b64decode(e["payload"]), e["payloadType"].encode()
open(sys.argv[2] + ".pae", "wb").write(b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(body), body))
open(sys.argv[2] + ".sig", "wb").write(base64.b64decode(e["signatures"][0]["sig"]))
s = json.loads(body)
assert s["_type"] == "https://in-toto.io/Statement/v1" and s["predicateType"] == "https://slsa.dev/provenance/v1"
p = s["predicate"]
assert p["buildDefinition"]["buildType"] and p["runDetails"]["builder"]["id"] and p["buildDefinition"]["externalParameters"]
assert all(set(d["digest"]) == {"sha256"} for d in s["subject"] + p["buildDefinition"]["resolvedDependencies"])
`;
			const stem = join(folder, '..', name);
			await run(['python3', '-c', program, path, stem]);
			const raw = name === 'guest' ? ['-rawin', '-digest', 'sha256'] : ['-rawin'];
			const key = ['-pubin', '-inkey', `${pem}.pub`, '-sigfile', `${stem}.sig`, '-in', `${stem}.pae`];
			t.regex(await run(['openssl', 'pkeyutl', '-verify', ...raw, ...key]), /Signature Verified Successfully/);
			const {subjects, keyId} = await verifyEnvelope(text, `${pem}.pub`);
			t.regex(keyId, /^[0-9a-f]{64}$/);
			t.is(signatures[0].keyid, keyId);
			t.deepEqual(
				subjects.map(({name}) => name),
				name === 'guest' ? ['guest.qcow2', 'guest.vmdk'] : ['node.iso'],
			);
			const changed = Buffer.from(payload, 'base64').toString().replace('guest', 'gvest');
			const forged = JSON.stringify({payload: Buffer.from(changed).toString('base64'), payloadType, signatures});
			await t.throwsAsync(verifyEnvelope(forged, `${pem}.pub`), {message: /not signed by/});
			await t.throwsAsync(verifyEnvelope(text, pem === pems.p256 ? pems.ed25519 : pems.p256), {
				message: /not signed by/,
			});
			await t.throwsAsync(verifyEnvelope('{}', pem), {message: /not a DSSE envelope/});
		}
	}));

test('a signed provenance that is of this very file is as good as a signature, and no other one', async t =>
	inFolder(async ({folder, pems, key}) => {
		const check = (name: string) => call(join(folder, name), '--provenance-key', `${pems.p256}.pub`);
		t.is((await check('guest.qcow2')).code, 0);
		await t.throwsAsync(check('node.iso'), {message: /not signed by/});
		// The provenance of another image, with digests that say that it belongs here.
		const other = join(folder, '..', 'other');
		await cp(folder, other, {recursive: true});
		await writeFile(join(other, 'guest.qcow2'), 'forged');
		const sums = join(other, 'guest.image.sha256');
		const forged = (await readFile(sums, 'utf8')).replace(
			/^[0-9a-f]{64}(?= {2}guest\.qcow2)/,
			await digestFile(join(other, 'guest.qcow2')),
		);
		await writeFile(sums, forged);
		await t.throwsAsync(call(join(other, 'guest.qcow2'), '--provenance-key', `${pems.p256}.pub`), {
			message: /about another guest\.qcow2/,
		});
		await t.throwsAsync(readSigner(key), {message: /is not a private key in PEM/});
		t.is(await findSums(join(folder, 'guest.intoto.jsonl')), join(folder, 'guest.image.sha256'));
		t.deepEqual((await verifyArtefact(join(folder, 'guest.image.sha256'))).absent, []);
	}));

test('an SBOM has what is no Debian package: K3s, its images, bringup itself and what is bundled; it is CycloneDX', async t =>
	inFolder(async ({folder}) => {
		const text = await readFile(join(folder, 'node.iso.cdx.json'), 'utf8');
		const schemas = join(packageFolder, 'node_modules/@cyclonedx/cyclonedx-library/res/schema');
		const schema = ['--base-uri', `file://${schemas}/`, join(schemas, 'bom-1.6.SNAPSHOT.schema.json')];
		for (const name of ['guest', 'node.iso'])
			await run(['/usr/bin/python3', '-m', 'jsonschema', '--instance', join(folder, `${name}.cdx.json`), ...schema]);
		const {components} = JSON.parse(text) as {
			components: {
				name: string;
				type: string;
				version?: string;
				purl: string;
				scope?: string;
				hashes?: {content: string}[];
			}[];
		};
		const find = (name: string) => components.find(one => one.name === name);
		t.like(find('k3s'), {type: 'application', version: 'v1.34.2+k3s1', purl: 'pkg:github/k3s-io/k3s@v1.34.2%2Bk3s1'});
		t.is(find('k3s')?.hashes?.[0]?.content, manifestOf('').assets.embedded[0]);
		t.is(find('k3s')?.scope, undefined);
		t.like(find('k3s-airgap-images-amd64.tar.zst'), {type: 'container', scope: 'optional'});
		t.like(find('bringup'), {type: 'application', version: '0.1.0', purl: 'pkg:npm/bringup@0.1.0'});
		t.like(find('zod'), {type: 'library'});
		t.like(find('less'), {type: 'library', version: '1:668-1+b1'});
		const refs = components.map(({purl, hashes}) => `${purl}${hashes?.[0]?.content}`);
		t.is(new Set(refs).size, refs.length);
		const {fields} = complete;
		const file = {asset: {file: 'app.tar', sha256: 'd'.repeat(64)}};
		const others = await listOthers({...fields, containers: {images: [file]}} as never, manifestOf(''));
		t.like(
			others.find(({name}) => name === 'app.tar'),
			{kind: 'container', purl: `pkg:generic/app.tar?checksum=sha256:${'d'.repeat(64)}`},
		);
	}));
