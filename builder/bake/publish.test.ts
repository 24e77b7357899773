import {copyFile, mkdir, readdir, readFile, readlink, rm, symlink, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {digestFile} from '../build/cache.ts';
import {withFolder} from '../folder.ts';
import {run} from '../run.ts';
import {attestImage} from './attest.ts';
import type {ImageManifest} from './manifest.ts';
import {readPins} from './pins.ts';
import {checkFolder, isWhole, publishImage, readLatest, removeOld, repairPointers} from './publish.ts';
import {formatJunit} from './rebuild.ts';
import {formatPurl, makeSbom, parseStatus} from './sbom.ts';
import {verifyArtefact} from './verify.ts';

const status = `Package: less
Status: install ok installed
Maintainer: Somebody <somebody@example.org>
Architecture: amd64
Version: 1:668-1+b1

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1

Package: libstdc++6
Status: install ok installed
Maintainer: Somebody <somebody@example.org>
Architecture: amd64
Source: gcc-14 (14.2.0-19)
Version: 14.2.0-19
`;
const sbom = makeSbom(parseStatus(status), [], {
	name: 'guest',
	sha256: 'a'.repeat(64),
	release: 'trixie',
	epoch: 1763683200,
});

/** An image as a bake leaves it, and a key to sign with. */
async function inFolder(
	use: (place: {out: string; folder: string; manifest: ImageManifest; key: string; signers: string}) => Promise<void>,
) {
	await withFolder(tmpdir(), async work => {
		const [out, folder, key] = [join(work, 'out/guest'), join(work, 'published'), join(work, 'key')];
		await Promise.all([join(work, 'out'), folder].map(path => mkdir(path)));
		await run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', '', '-f', key]);
		const signers = join(work, 'signers');
		await writeFile(signers, `images@example.org ${await readFile(`${key}.pub`, 'utf8')}`);
		await writeFile(`${out}.qcow2`, 'an image');
		const sha256 = await digestFile(`${out}.qcow2`);
		const formats = [{format: 'qcow2', file: 'guest.qcow2', sha256, size: 8}];
		const packages = [{name: 'less', version: '1:668-1+b1', architecture: 'amd64', sha256: 'b'.repeat(64)}];
		const manifest = {
			profile: 'guest',
			sha256,
			formats,
			packages,
			recipe: 'r',
			assets: {embedded: []},
		} as unknown as ImageManifest;
		await attestImage(manifest, {stem: out, sbom, keys: {}});
		await use({out, folder, manifest, key, signers});
	});
}

const date = new Date('2026-11-21T02:30:00Z');

test('a published image is whole, signed by who may, and the pointers lead to it', async t => {
	await inFolder(async ({out, folder, manifest, key, signers}) => {
		t.is(await readLatest(folder, 'guest'), undefined);
		const image = await publishImage(out, manifest, {folder, date, keys: {signing: {key}}});
		t.regex(image, /^guest-20261121-[0-9a-f]{12}$/);
		t.is(await readlink(join(folder, 'guest-latest.qcow2')), `${image}.qcow2`);
		t.is((await readLatest(folder, 'guest'))?.manifest.recipe, 'r');
		const found = await verifyArtefact(join(folder, `${image}.image.sha256`), {signers});
		t.is(found.signer, 'images@example.org');
		t.is(found.files.length, 4);
		await run(['sha256sum', '--check', '--strict', '--quiet', `${image}.image.sha256`], {cwd: folder});
		t.deepEqual(
			(await readdir(folder)).filter(name => name.startsWith('.')),
			[],
		);
	});
});

test('what was changed, or signed by somebody else, is told', async t => {
	await inFolder(async ({out, folder, manifest, key, signers}) => {
		const image = await publishImage(out, manifest, {folder, date, keys: {signing: {key}}});
		const sums = join(folder, `${image}.image.sha256`);
		const other = `${key}-other`;
		await run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', '', '-f', other]);
		const others = `${signers}-other`;
		await writeFile(others, `somebody@example.org ${await readFile(`${other}.pub`, 'utf8')}`);
		await t.throwsAsync(verifyArtefact(sums, {signers: others}), {message: /no signature that .*signers-other allows/});
		// A signed list beside a file of another name.
		await copyFile(sums, join(folder, 'guest-2.image.sha256'));
		await copyFile(`${sums}.sig`, join(folder, 'guest-2.image.sha256.sig'));
		const renamed = verifyArtefact(join(folder, 'guest-2.image.sha256'), {signers, file: 'guest-2.qcow2'});
		await t.throwsAsync(renamed, {message: /is not of guest-2\.qcow2, which it does not name/});
		await writeFile(join(folder, `${image}.cdx.json`), sbom.replace('less', 'more'));
		await t.throwsAsync(verifyArtefact(sums, {signers}), {message: /cdx\.json is not what it was/});
		await writeFile(sums, `${await readFile(sums, 'utf8')}${'0'.repeat(64)}  x\n`);
		await t.throwsAsync(verifyArtefact(sums, {signers}), {message: /no signature/});
	});
});

/** Publishes another image of the same profile, some days later. */
async function publishDay(
	day: number,
	{out, folder, manifest}: {out: string; folder: string; manifest: ImageManifest},
) {
	await writeFile(`${out}.qcow2`, `image ${day}`);
	const sha256 = await digestFile(`${out}.qcow2`);
	const formats = [{format: 'qcow2' as const, file: 'guest.qcow2', sha256, size: 7}];
	const made = {...manifest, sha256, formats};
	await attestImage(made, {stem: out, sbom, keys: {}});
	return publishImage(out, made, {folder, date: new Date(date.getTime() + day * 86_400_000), keys: {}});
}

test('so many images stay, the newest, and those of other profiles', async t => {
	await inFolder(async place => {
		const {folder} = place;
		await writeFile(join(folder, 'guest-other-20200101-0123456789ab.image.json'), '{}');
		const [first, second] = [await publishDay(0, place), await publishDay(1, place)];
		await publishDay(2, place);
		// What a run has left that was cut off in the middle, before the manifest.
		await writeFile(join(folder, 'guest-20261130-cccccccccccc.qcow2'), 'half');
		t.deepEqual(await removeOld(folder, 'guest', {newest: 2, since: new Date(), pinned: new Set()}), [first]);
		const names = await readdir(folder);
		t.false(names.some(name => name.startsWith(first) || name.includes('cccccccccccc')));
		t.true(names.includes(`${second}.qcow2`));
		t.true(names.includes('guest-other-20200101-0123456789ab.image.json'));
	});
});

test('an image that a profile pins stays, and one that is young or whose manifest cannot be read', async t => {
	await inFolder(async place => {
		const {folder, manifest} = place;
		const images: string[] = [];
		for (let day = 0; day < 5; day++) images.push(await publishDay(day, place));
		const digestOf = async (image = '') => digestFile(join(folder, `${image}.qcow2`));
		const [pinned, damaged, unpinned] = images as [string, string, string];
		const profiles = join(folder, '..', 'profiles');
		await mkdir(join(profiles, 'more'), {recursive: true});
		await writeFile(join(profiles, 'more/homelab.yaml'), `faulty: [\nsha256: ${await digestOf(pinned)}\n`);
		await writeFile(join(folder, `${damaged}.image.json`), 'oops');
		const keep = {newest: 1, since: new Date(), pinned: await readPins([profiles])};
		t.deepEqual(await removeOld(folder, 'guest', {...keep, since: new Date(0)}), [], 'all are young');
		t.deepEqual((await removeOld(folder, 'guest', keep)).sort(), [unpinned, images[3] as string].sort());
		t.is(await digestOf(pinned), (await readFile(join(profiles, 'more/homelab.yaml'), 'utf8')).slice(-65, -1));
		await t.throwsAsync(readPins([join(folder, 'none')]), {message: /there is no such file or folder/});
		t.truthy(manifest);
	});
});

test('the same image again takes the place of none', async t => {
	await inFolder(async ({out, folder, manifest, key}) => {
		const image = await publishImage(out, manifest, {folder, date, keys: {}});
		const later = new Date(date.getTime() + 86_400_000);
		t.is(await publishImage(out, manifest, {folder, date: later, keys: {signing: {key}}}), image);
		const latest = await readLatest(folder, 'guest');
		t.true(latest && (await isWhole(folder, latest, {signing: {key}})));
	});
});

test('an image that cannot be published leaves the one before as the latest, and nothing of itself', async t => {
	await inFolder(async ({out, folder, manifest, key}) => {
		const image = await publishImage(out, manifest, {folder, date, keys: {}});
		await writeFile(`${out}.qcow2`, 'another image');
		const sha256 = await digestFile(`${out}.qcow2`);
		const other = {...manifest, sha256, formats: [{...manifest.formats[0], sha256}]} as ImageManifest;
		await attestImage(other, {stem: out, sbom, keys: {}});
		await rm(key); // fails after the image was copied
		await t.throwsAsync(publishImage(out, other, {folder, date, keys: {signing: {key}}}), {message: /does not sign/});
		await writeFile(`${out}.qcow2`, 'not what was proven');
		await t.throwsAsync(publishImage(out, other, {folder, date, keys: {}}), {message: /is not what it was/});
		t.is((await readLatest(folder, 'guest'))?.image, image);
		t.false((await readdir(folder)).some(name => name.includes(sha256.slice(0, 12)) || name.startsWith('.')));
	});
});

test('a pointer that is gone or leads elsewhere is put right', async t => {
	await inFolder(async place => {
		const {folder} = place;
		const [first, second] = [await publishDay(0, place), await publishDay(1, place)];
		const link = join(folder, 'guest-latest.qcow2');
		await rm(link);
		await symlink(`${first}.qcow2`, link);
		await symlink(`${first}.vmdk`, join(folder, 'guest-latest.vmdk'));
		const latest = await readLatest(folder, 'guest');
		if (latest) await repairPointers(folder, latest);
		t.is(await readlink(link), `${second}.qcow2`);
		t.false((await readdir(folder)).includes('guest-latest.vmdk'));
	});
});

test('an image that another key has signed, or nobody, is not as it should be', async t => {
	await inFolder(async ({out, folder, manifest, key}) => {
		const other = `${key}-other`;
		await run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', '', '-f', other]);
		const image = await publishImage(out, manifest, {folder, date, keys: {signing: {key}}});
		const latest = {image, manifest};
		t.true(await isWhole(folder, latest, {signing: {key}}));
		t.true(await isWhole(folder, latest, {signing: {key: `${key}.pub`}}));
		t.false(await isWhole(folder, latest, {signing: {key: other}}));
		await writeFile(join(folder, `${image}.image.sha256.sig`), 'garbage');
		t.false(await isWhole(folder, latest, {signing: {key}}));
		t.true(await isWhole(folder, latest, {}));
	});
});

test('a folder that is not there, such as a share that is not mounted, is not made', async t => {
	await inFolder(async ({folder}) => {
		await t.throwsAsync(checkFolder(join(folder, 'share'), undefined), {message: /there is no such folder; mount it/});
		await t.notThrowsAsync(checkFolder(folder, undefined));
		const formats = [{format: 'qcow2', file: '', sha256: '', size: 2 ** 60}];
		const latest = {image: 'guest', manifest: {formats} as unknown as ImageManifest};
		await t.throwsAsync(checkFolder(folder, latest), {message: /GiB free, and the latest image takes/});
	});
});

test('an SBOM names what is installed, by package URL, and is the same for the same image', t => {
	t.deepEqual(
		parseStatus(status).map(({name, source}) => [name, source]),
		[
			['less', ''],
			['libstdc++6', 'gcc-14'],
		],
	);
	t.is(
		formatPurl({name: 'libstdc++6', version: '1:2~3+b1', architecture: 'amd64'}, 'trixie'),
		'pkg:deb/debian/libstdc%2B%2B6@1:2~3%2Bb1?arch=amd64&distro=trixie',
	);
	t.is(
		makeSbom(parseStatus(status), [], {name: 'guest', sha256: 'a'.repeat(64), release: 'trixie', epoch: 1763683200}),
		sbom,
	);
	const {components, specVersion} = JSON.parse(sbom) as {components: {name: string}[]; specVersion: string};
	t.is(specVersion, '1.6');
	t.deepEqual(
		components.map(({name}) => name),
		['less', 'libstdc++6'],
	);
});

test('the report for CI is XML, whatever a program has said', async t => {
	const common = {changes: [], removed: [], seconds: 1.5, reason: undefined, image: undefined};
	const text = formatJunit([
		{...common, profile: 'guest', state: 'unchanged', image: 'guest-1', error: undefined},
		{...common, profile: 'k3s', state: 'failed', error: 'error: <"\u001b[31mred\u0000">\nmore & more'},
	]);
	t.regex(text, /tests="2" failures="1"/);
	await run(['xmllint', '--noout', '-'], {input: text});
	t.pass();
});
