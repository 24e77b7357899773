import {writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {withFolder} from '../folder.ts';
import {packageFolder} from '../paths.ts';
import type {CompleteProfile} from '../profile/complete.ts';
import {loadProfile} from '../profile/profile.ts';
import {listImagePackages} from '../render/view.ts';
import {formatDifference, listDifference} from './difference.ts';
import type {Index} from './lists.ts';
import {compareTools, listLocked, makeLock, openLock, readLock} from './lock.ts';
import {parseStanza} from './packages.ts';
import {type PartsOptions, resolveBase} from './parts.ts';

const sha256 = 'a'.repeat(64);

const stanza = (name: string, version: string, pool = 'pool/main') => `Package: ${name}
Version: ${version}
Architecture: amd64
Maintainer: Somebody <somebody@example.org>
Depends: libc6 (>= 2.41)
Filename: ${pool}/${name}_${version}_amd64.deb
Size: 1234
SHA256: ${sha256}
Description: what it is
 and more of it
Description-md5: 0123456789abcdef0123456789abcdef
Priority: optional`;

const packages = [parseStanza(stanza('zstd', '1.5.7')), parseStanza(stanza('less', '1:668-1'))];
const index = {epoch: 1763683200, debian: {release: 'trixie'}} as Index;
const lock = makeLock(index, ['less', 'zstd'], packages, [{sha256, from: {file: 'x'}}], {tools: {xorriso: '1.5.4'}});

function profileIn(folder: string, release = 'trixie'): CompleteProfile {
	const debian = {
		release,
		lock: 'p.lock.json',
		mirror: 'http://mirror.example/debian',
		securityMirror: 'http://mirror.example/debian-security',
		components: ['main'],
		snapshots: [],
		archives: {},
	};
	return {fields: {debian}, source: {folderOf: () => folder}} as unknown as CompleteProfile;
}

const inFolder = (text: string, use: (folder: string) => Promise<void>) =>
	withFolder(tmpdir(), async folder => {
		await writeFile(join(folder, 'p.lock.json'), text);
		await use(folder);
	});

test('a lock has what apt goes by and nothing that only people read, and gives the same packages back', t => {
	t.notRegex(JSON.stringify(lock), /Maintainer|Description|what it is|more of it/);
	t.deepEqual(
		listLocked(lock).map(({stanza: _, ...rest}) => rest),
		[...packages].reverse().map(({stanza: _, ...rest}) => rest),
	);
	t.is(listLocked(lock)[0]?.file, 'less_1%3a668-1_amd64.deb');
});

test('a build from a lock needs no archive, and has its date', async t => {
	await inFolder(JSON.stringify(lock), async folder => {
		const profile = profileIn(folder);
		const read = await readLock(profile, [{sha256, from: {file: 'x'}}]);
		t.deepEqual(read, lock);
		const opened = await openLock(lock, ['less', 'zstd'], profile, folder);
		t.is(opened.index.epoch, index.epoch);
		t.true(opened.index.locked);
		t.is(opened.packages.length, 2);
	});
});

test('a lock of another package list, release or asset is refused, and so is what is none', async t => {
	await inFolder(JSON.stringify(lock), async folder => {
		await t.throwsAsync(openLock(lock, ['htop', 'less'], profileIn(folder), folder), {
			message: /\+htop, -zstd; make it anew: bringup lock/,
		});
		await t.throwsAsync(readLock(profileIn(folder, 'bookworm'), []), {
			message: /is of trixie, and the profile says bookworm; make it anew: bringup lock/,
		});
		await t.throwsAsync(readLock(profileIn(folder), [{sha256: 'b'.repeat(64), from: {file: 'y'}}]), {
			message: /does not pin: b{64}/,
		});
	});
	for (const text of ['', '{}', JSON.stringify({...lock, packages: [stanza('x', '1', 'pool/../../etc')]})])
		await inFolder(text, async folder => {
			await t.throwsAsync(readLock(profileIn(folder), []), {message: /is no lock of packages/});
		});
});

test('what a lock was made with is compared with what makes the medium', t => {
	t.deepEqual(compareTools(lock, {tools: {xorriso: '1.5.4'}}), []);
	t.deepEqual(compareTools({...lock, tools: undefined}, {tools: {xorriso: '1.5.6'}}), []); // of an older bringup
	t.deepEqual(compareTools(lock, {tools: {xorriso: '1.5.6', mtools: '4'}}), [
		'the lock was made with other tools, so the medium may not be the same to the byte: mtools none -> 4, xorriso 1.5.4 -> 1.5.6',
	]);
});

test('SOURCE_DATE_EPOCH stands in the place of the date of a lock', async t => {
	const names = listImagePackages((await loadProfile(join(packageFolder, 'profiles/guest.yaml'))).fields as never);
	const own = {...lock, names: [...names], assets: []};
	await inFolder(JSON.stringify(own), async folder => {
		const {fields} = await loadProfile(join(packageFolder, 'profiles/guest.yaml'));
		const {debian} = profileIn(folder).fields;
		const profile = {fields: {...fields, debian: {...fields.debian, ...debian}}, source: {folderOf: () => folder}};
		const dated = async (epoch: number | undefined) => {
			const options = {cache: folder, assets: [], epoch, progress: {say: () => {}}} as unknown as PartsOptions;
			return (await resolveBase(profile as unknown as CompleteProfile, options)).dated;
		};
		t.is(await dated(undefined), lock.epoch);
		t.is(await dated(5), 5);
	});
});

test('what differs between two sets is told by name, and what is a security update', t => {
	const after = [parseStanza(stanza('less', '1:668-2', 'pool/updates/main')), parseStanza(stanza('htop', '3'))];
	const found = listDifference(packages, after);
	t.deepEqual(formatDifference(found), ['htop 3, new', 'less 1:668-1 -> 1:668-2 (security)', 'zstd 1.5.7, gone']);
	t.deepEqual(listDifference(packages, packages), []);
});
