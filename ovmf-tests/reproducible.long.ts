import {cp, mkdir, readFile, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {run} from '../builder/run.ts';
import {digestDisk, folder} from './vm.ts';

const work = join(folder, 'reproducible');
const cli = join(process.cwd(), 'dist/builder/cli.js');
/** A cache that a first build fills, whose ISO is not compared. */
const downloads = join(work, 'downloads');

/** Builds in a folder and with a cache of its own, packages apart; gives the digests of the ISO and of every file on it. */
async function build(
	name: string,
	env: Readonly<Record<string, string>>,
	user: string | undefined,
): Promise<Record<string, string>> {
	const [own, cache] = [join(work, name), join(work, `${name}-cache`)];
	await Promise.all([own, cache].map(path => mkdir(path)));
	await cp(join(downloads, 'packages'), join(cache, 'packages'), {recursive: true, preserveTimestamps: true});
	const iso = join(own, `${name}.iso`);
	const command = ['node', cli, 'build-iso', '--profile', join(work, 'p.yaml'), '--out', iso, '--cache', cache];
	if (user) await run(['chown', '--recursive', `${user}:`, own, cache]);
	const as = user ? ['--reuid', user, '--regid', user, '--init-groups'] : [];
	await run(['setpriv', ...as, ...command], {cwd: own, env: {HOME: own, ...env}});
	const layers = join(own, 'layers');
	await run(['xorriso', '-osirrox', 'on', '-indev', iso, '-extract', '/', layers]);
	const files = (await run(['find', layers, '-type', 'f', '-printf', '%P\n'])).split('\n').filter(Boolean).sort();
	const digests = files.map(async file => [file, await digestDisk(join(layers, file))] as const);
	return {...Object.fromEntries(await Promise.all(digests)), iso: await digestDisk(iso)};
}

/** An ordinary user who may build (subuid(5)): one who is there, or one for this test. */
async function findOrdinary(t: ExecutionContext): Promise<string> {
	const known = await readFile('/etc/subuid', 'utf8').catch(() => '');
	const [, user] = /^([a-z_][^:]*):/m.exec(known) ?? [];
	if (user !== undefined) return user;
	const own = 'bringup-test';
	await run(['useradd', '--no-create-home', '--home-dir', '/nonexistent', own]);
	t.teardown(() => run(['userdel', own]));
	return own;
}

test('two builds from one lock are the same to the byte, in whatever folder, by whomever, with whatever umask, time zone and language', async t => {
	t.timeout(60 * 60_000);
	t.is(process.getuid?.(), 0, 'run this as root: one of the two builds is of an ordinary user');
	await rm(work, {recursive: true, force: true});
	await mkdir(work, {recursive: true});
	const guest = join(process.cwd(), 'profiles/guest.yaml');
	const profile = (debian: string) => writeFile(join(work, 'p.yaml'), `schema: 1\nextends: ${guest}\n${debian}`);
	await profile('');
	const own = ['--profile', join(work, 'p.yaml'), '--cache', downloads];
	await run(['node', cli, 'build-iso', ...own, '--out', join(work, 'first.iso')]);
	await run(['node', cli, 'lock', ...own]);
	// What the lock pins is in the cache already: nobody asks this mirror.
	await profile('debian: {lock: p.lock.json, mirror: "http://mirror.example/debian"}\n');
	const one = await build('one', {TZ: 'UTC', LANG: 'C.UTF-8'}, undefined);
	const user = await findOrdinary(t);
	t.log(`the second build is of ${user}`);
	const umask = process.umask(0o077);
	t.teardown(() => process.umask(umask));
	const two = await build('other', {TZ: 'Asia/Kolkata', LANG: 'de_DE.UTF-8'}, user);
	t.true(Object.keys(one).length > 10);
	t.deepEqual(two, one);
});
