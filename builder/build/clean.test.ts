import {mkdir, readdir, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {say} from '../bringup.test.say.ts';
import {withFolder} from '../folder.ts';
import {fetchEntry} from './cache.ts';
import {cleanCache, listCache} from './clean.ts';
import {withCache} from './output.ts';

const digits = (length: number, digit: string) => digit.repeat(length);
const signal = new AbortController().signal;
const mac = (text: string) => `key of this test ${text}`;
const make = (folder: string) => writeFile(join(folder, '10-base.squashfs'), Buffer.alloc(10_000, 'x'));

const own = [
	`base/${digits(32, 'a')}`,
	`layers/${digits(32, 'b')}`,
	`installer/${digits(32, 'c')}`,
	`apt/${digits(16, 'd')}`,
];
const files = [
	...['packages/less_1%3a668-1_amd64.deb', 'packages/x_1_amd64.udeb', `apt/keys/${digits(16, 'e')}.asc`],
	...[`assets/${digits(64, 'f')}`, `assets/${digits(64, 'f')}.part`, `built/${digits(16, '0')}.json`],
	`silent/${digits(16, '1')}.json`,
];
const foreign = ['thesis.txt', 'base/thesis', 'packages/thesis.txt', 'lock', 'assets/thesis'];

const inCache = (use: (cache: string) => Promise<void>) =>
	withFolder(tmpdir(), async cache => {
		for (const folder of own) await fetchEntry(join(cache, folder), mac, make);
		for (const file of [...files, ...foreign]) {
			await mkdir(join(cache, file, '..'), {recursive: true});
			await writeFile(join(cache, file), 'x');
		}
		await use(cache);
	});

test('all that builds have put into a cache is found, and nothing else goes', t =>
	inCache(async cache => {
		t.deepEqual((await listCache(cache)).map(({path}) => path).sort(), [...own, ...files].sort());
		t.true((await listCache(cache)).every(({bytes, used}) => bytes > 0 && Math.abs(used - Date.now()) < 60_000));
		t.is((await cleanCache(cache, () => true)).length, own.length + files.length);
		t.deepEqual(await listCache(cache), []);
		const left = await readdir(cache, {recursive: true, withFileTypes: true});
		t.deepEqual(
			left
				.filter(entry => entry.isFile())
				.map(({name}) => name)
				.sort(),
			foreign.map(path => path.replace(/^.*\//, '')).sort(),
		);
	}));

test('what a build uses is not old, and while a build uses the cache nothing goes', t =>
	inCache(async cache => {
		const between = Date.now();
		await new Promise(resolve => setTimeout(resolve, 50));
		await withCache(cache, signal, async () => {
			await fetchEntry(join(cache, own[0] ?? ''), mac, make);
			await t.throwsAsync(
				cleanCache(cache, () => true),
				{message: /a build uses .* at this moment; run this again when it has ended/},
			);
			// Two builds share it.
			await t.notThrowsAsync(withCache(cache, signal, async () => {}));
		});
		const removed = await cleanCache(cache, ({used}) => used <= between);
		t.is(removed.length, own.length + files.length - 1);
		t.deepEqual(
			(await listCache(cache)).map(({path}) => path),
			[own[0] as string],
		);
	}));

test('the command tells what it would remove, and removes what it tells', t =>
	inCache(async cache => {
		const clean = async (...words: string[]) => {
			const {code, text} = await say(['clean', '--cache', cache, ...words]);
			if (code !== 0) throw new Error(text);
			return text;
		};
		const told = JSON.parse(await clean('--all', '--dry-run', '--json')) as {removed: unknown[]; kept: unknown[]};
		t.deepEqual([told.removed.length, told.kept.length], [own.length + files.length, 0]);
		t.regex(await clean(), /^base +removed 0 \(0 MB\), 1 stay/m);
		t.is((await listCache(cache)).length, own.length + files.length);
		t.regex(await clean('--all'), /^base +removed 1 \(0 MB\), 0 stay/m);
		t.deepEqual(await listCache(cache), []);
		await t.throwsAsync(clean('--older-than', 'ever'), {message: /--older-than/});
		await t.throwsAsync(clean('--older-than', '3', '--all'), {message: /--all/});
	}));
