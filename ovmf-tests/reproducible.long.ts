import {mkdir, rm, symlink, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {run} from '../builder/run.ts';
import {digestDisk, folder, userCache, xdgCache} from './vm.ts';

const work = join(folder, 'reproducible');
const cli = join(process.cwd(), 'dist/builder/cli.js');

/** Builds in a folder and with a cache of its own, downloads apart; gives the digests of the ISO and of the base in it. */
async function build(name: string, env: Readonly<Record<string, string>>): Promise<Record<string, string>> {
	const [own, cache] = [join(work, name), join(work, `${name}-cache`)];
	await mkdir(own, {recursive: true});
	await mkdir(cache, {recursive: true});
	await symlink(join(userCache, 'packages'), join(cache, 'packages'));
	const iso = join(own, `${name}.iso`);
	await run(['node', cli, 'build-iso', '--profile', join(work, 'p.yaml'), '--out', iso, '--cache', cache], {
		cwd: own,
		env,
	});
	const layers = join(own, 'layers');
	await run(['xorriso', '-osirrox', 'on', '-indev', iso, '-extract', '/', layers]);
	const files = (await run(['find', layers, '-type', 'f', '-printf', '%P\n'])).split('\n').filter(Boolean).sort();
	const digests = files.map(async file => [file, await digestDisk(join(layers, file))] as const);
	return {...Object.fromEntries(await Promise.all(digests)), iso: await digestDisk(iso)};
}

test('two builds from one lock are the same to the byte, in whatever folder, home, time zone and language', async t => {
	t.timeout(60 * 60_000);
	await rm(work, {recursive: true, force: true});
	await mkdir(work, {recursive: true});
	const guest = join(process.cwd(), 'profiles/guest.yaml');
	const profile = (debian: string) => writeFile(join(work, 'p.yaml'), `schema: 1\nextends: ${guest}\n${debian}`);
	await profile('');
	await run(['node', cli, 'lock', '--profile', join(work, 'p.yaml')], {env: {XDG_CACHE_HOME: xdgCache}});
	// What the lock pins is in the cache already: nobody asks this mirror.
	await profile('debian: {lock: p.lock.json, mirror: "http://mirror.example/debian"}\n');
	const one = await build('one', {TZ: 'UTC', LANG: 'C.UTF-8'});
	const two = await build('other', {TZ: 'Asia/Kolkata', LANG: 'de_DE.UTF-8', HOME: work});
	t.true(Object.keys(one).length > 10);
	t.deepEqual(two, one);
});
