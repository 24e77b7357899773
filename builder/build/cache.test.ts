import {createHash} from 'node:crypto';
import {appendFile, cp, mkdir, readdir, readFile, rename, stat, utimes, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {withFolder, world, writeWhole} from '../folder.ts';
import {DamagedCache, fetchEntry, findWorkFolder, readVerified} from './cache.ts';
import {type Mac, openMac, readOwn, writeOwn} from './mac.ts';
import {estimateSpace} from './rootfs.ts';

const mac: Mac = text => createHash('sha256').update(`key of this test ${text}`).digest('hex');

const inFolder = (use: (folder: string) => Promise<void>) => withFolder(tmpdir(), use);

/** Counts how often it is made. */
function maker() {
	const made = {times: 0};
	const make = async (folder: string) => {
		made.times++;
		await writeFile(join(folder, 'file'), `content ${made.times}`);
	};
	return {made, make};
}

test('an entry is made once', t =>
	inFolder(async folder => {
		const {made, make} = maker();
		t.true((await fetchEntry(join(folder, 'key'), mac, make)).made);
		const {entry, made: again} = await fetchEntry(join(folder, 'key'), mac, make);
		t.false(again);
		t.is(made.times, 1);
		t.true(await entry.verify());
	}));

test('an entry whose file has another size is made anew', t =>
	inFolder(async folder => {
		const {made, make} = maker();
		const {entry} = await fetchEntry(join(folder, 'key'), mac, make);
		await appendFile(join(entry.folder, 'file'), 'x');
		t.true((await fetchEntry(join(folder, 'key'), mac, make)).made);
		t.is(made.times, 2);
		t.is(await readFile(join(folder, 'key/file'), 'utf8'), 'content 2');
	}));

test('an entry with a flipped byte, size and date kept, does not verify', t =>
	inFolder(async folder => {
		const {make} = maker();
		const {entry} = await fetchEntry(join(folder, 'key'), mac, make);
		const date = new Date(entry.digests['file']?.mtimeMs ?? 0);
		await writeFile(join(entry.folder, 'file'), 'c0ntent 1');
		await utimes(join(entry.folder, 'file'), date, date);
		t.false(await entry.verify());
	}));

test('a build that fails leaves nothing', t =>
	inFolder(async folder => {
		await t.throwsAsync(
			fetchEntry(join(folder, 'key'), mac, async () => Promise.reject(new Error('no'))),
			{message: 'no'},
		);
		t.deepEqual(await readdir(folder), []);
	}));

test('two builds of one entry at once both get it whole', t =>
	inFolder(async folder => {
		const {make} = maker();
		const both = await Promise.all([
			fetchEntry(join(folder, 'key'), mac, make),
			fetchEntry(join(folder, 'key'), mac, make),
		]);
		for (const {entry} of both) t.true(await entry.verify());
		t.deepEqual(await readdir(folder), ['key']);
	}));

test('what a killed build left is removed by the next, what a living one works on is not', t =>
	inFolder(async folder => {
		const gone = 4_194_999; // beyond the largest process id of Linux
		const alive = `.bringup-${world}-${process.pid}-oThEr1`;
		const [fresh, old] = [`.bringup-01234567-${gone}-fReSh1`, `.bringup-01234567-${process.pid}-oLdOn1`];
		for (const name of [`.bringup-${world}-${gone}-aBcDe1`, alive, fresh, old, 'bringup-2025-notes'])
			await mkdir(join(folder, name));
		const yesterday = Date.now() / 1000 - 25 * 3600;
		await utimes(join(folder, old), yesterday, yesterday);
		await withFolder(folder, async () => {});
		t.deepEqual((await readdir(folder)).sort(), [alive, fresh, 'bringup-2025-notes'].sort());
	}));

test('two containers, whose processes have one number, write one file at once and it is whole', t =>
	inFolder(async folder => {
		const path = join(folder, 'file');
		// Writers of one process are of one number too.
		await Promise.all(Array.from({length: 100}, (_, number) => writeWhole(path, `content ${number}`)));
		t.regex(await readFile(path, 'utf8'), /^content \d+$/);
		t.deepEqual(await readdir(folder), ['file']);
	}));

test('what somebody else has put into the cache is not believed, digests and dates right as they may be', t =>
	inFolder(async folder => {
		const {made, make} = maker();
		const path = join(folder, 'cache/base/0123');
		const other = await openMac(join(folder, 'other/cache-key'));
		const own = await openMac(join(folder, 'own/cache-key'));
		await fetchEntry(path, other, make);
		const {entry, made: again} = await fetchEntry(path, own, make);
		t.true(again);
		t.is(made.times, 2);
		t.is(await readFile(join(entry.folder, 'file'), 'utf8'), 'content 2');
		// Nor is an entry of this user's own under the name of another.
		await rename(path, join(folder, 'cache/base/4567'));
		t.true((await fetchEntry(join(folder, 'cache/base/4567'), own, make)).made);
	}));

test('what is read of an entry is what was put there, or nothing', t =>
	inFolder(async folder => {
		const {make} = maker();
		const {entry} = await fetchEntry(join(folder, 'key'), mac, make);
		t.is(String(await readVerified(entry, 'file')), 'content 1');
		await writeFile(join(entry.folder, 'file'), 'c0ntent 1');
		await t.throwsAsync(readVerified(entry, 'file'), {instanceOf: DamagedCache});
	}));

test('the key of a cache is made once, for this user alone, and its place in the cache does not matter', t =>
	inFolder(async folder => {
		const key = join(folder, 'data/cache-key');
		const [one, two] = await Promise.all([openMac(key), openMac(key)]);
		t.is(one('text'), two('text'));
		t.is((await stat(key)).mode & 0o777, 0o600);
		await writeOwn(join(folder, 'cache/x/solved.json'), {a: 1}, one);
		t.deepEqual(await readOwn(join(folder, 'cache/x/solved.json'), two), {a: 1});
		await cp(join(folder, 'cache'), join(folder, 'elsewhere'), {recursive: true});
		t.deepEqual(await readOwn(join(folder, 'elsewhere/x/solved.json'), two), {a: 1});
		await rename(join(folder, 'elsewhere/x/solved.json'), join(folder, 'elsewhere/x/other.json'));
		t.is(await readOwn(join(folder, 'elsewhere/x/other.json'), two), undefined);
		await writeFile(key, 'none');
		await t.throwsAsync(openMac(key), {message: /cache-key is not a key; remove it/});
	}));

test('a root file system is put together where TMPDIR says, where there is room', t =>
	withFolder(tmpdir(), async folder => {
		t.is(await findWorkFolder(1, folder), folder);
		await t.throwsAsync(findWorkFolder(2 ** 60, folder), {
			message: /has \d+\.\d GiB free; free some, or name another folder: TMPDIR=/,
		});
		await t.throwsAsync(findWorkFolder(2 ** 60, undefined), {message: /and \/var\/tmp has/});
		await mkdir(join(folder, 'a b'));
		await t.throwsAsync(findWorkFolder(1, join(folder, 'a b')), {
			message: /mmdebstrap does not work below .*without a space/,
		});
		const one = {
			name: 'x',
			version: '1',
			architecture: 'all',
			size: 10 ** 9,
			sha256: '',
			file: 'x',
			stanza: 'Installed-Size: 4000000',
		};
		t.true(estimateSpace([one]) > 7e9);
	}));
