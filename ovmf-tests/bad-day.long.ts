import {cp, open, readdir, readFile, rm, stat, utimes} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {run, start} from '../builder/run.ts';
import {folder as testFolder, userCache} from './vm.ts';

const folder = join(testFolder, 'bad-day');
const cache = join(folder, 'cache');
const command = (iso: string) =>
	[
		'node',
		'dist/builder/cli.js',
		'build-iso',
		'--profile',
		'ovmf-tests/profiles/plain.yaml',
		'--out',
		join(folder, iso),
		'--cache',
		cache,
	] as const;

test.before(async () => {
	await rm(folder, {recursive: true, force: true});
	for (const part of ['packages', 'apt'])
		await cp(join(userCache, part), join(cache, part), {recursive: true, preserveTimestamps: true});
});

/** The processes of a build, by the folder that it works in. */
async function listProcesses(build: number): Promise<string[]> {
	const lines = (await run(['ps', '-eo', 'stat=,args='])).split('\n');
	const own = new RegExp(`/\\.bringup-[0-9a-f]{8}-${build}-`);
	return lines.filter(line => own.test(line) && /mmdebstrap|mksquashfs/.test(line) && !line.startsWith('Z'));
}

async function flipByte(path: string, at: number): Promise<void> {
	const {atime, mtime} = await stat(path);
	const file = await open(path, 'r+');
	const byte = Buffer.alloc(1);
	await file.read(byte, 0, 1, at);
	await file.write(Buffer.from([byte.readUInt8() ^ 0xff]), 0, 1, at);
	await file.close();
	await utimes(path, atime, mtime);
}

const findBase = async () => join(cache, 'base', (await readdir(join(cache, 'base')))[0] ?? '');

test.serial('a build that is killed leaves no process, no mount, no artefact; the next one works', async t => {
	t.timeout(10 * 60_000);
	const before = await readFile('/proc/self/mounts', 'utf8');
	const build = start(command('killed.iso'));
	const end = Date.now() + 60_000;
	while ((await listProcesses(build.pid)).length < 2 && Date.now() < end)
		await new Promise(resolve => setTimeout(resolve, 200));
	t.true((await listProcesses(build.pid)).length >= 2, 'mmdebstrap and mksquashfs run');
	await new Promise(resolve => setTimeout(resolve, 5000));
	t.not((await listProcesses(build.pid)).length, 0);
	build.kill('SIGKILL');
	t.is((await build.ended).exitCode, undefined);
	await new Promise(resolve => setTimeout(resolve, 3000));
	t.deepEqual(await listProcesses(build.pid), []);
	t.is(await readFile('/proc/self/mounts', 'utf8'), before);
	t.false((await readdir(folder)).includes('killed.iso'));
	await run(command('killed.iso'));
	t.true((await readdir(folder)).includes('killed.iso'));
});

test.serial('two builds at once both make the same ISO', async t => {
	t.timeout(15 * 60_000);
	await rm(join(cache, 'base'), {recursive: true});
	await Promise.all([run(command('one.iso')), run(command('two.iso'))]);
	const [one, two] = await Promise.all(
		['one', 'two'].map(async name => (await readFile(join(folder, `${name}.iso.sha256`), 'utf8')).split(' ')[0]),
	);
	t.is(one, two);
	t.deepEqual(
		(await readdir(folder)).filter(name => name.startsWith('.')),
		[],
	);
});

test.serial('a damaged package is fetched again', async t => {
	t.timeout(10 * 60_000);
	await rm(await findBase(), {recursive: true});
	const [file] = (await readdir(join(cache, 'packages'))).filter(name => name.startsWith('less_'));
	await flipByte(join(cache, 'packages', file ?? ''), 5000);
	const lines: string[] = [];
	await run(command('three.iso'), {onLine: line => lines.push(line)});
	t.regex(
		lines.join('\n'),
		new RegExp(`damaged in the download cache, fetching again: ${file?.replace(/[+.]/g, '\\$&')}`),
	);
});

test.serial('a damaged base is made anew', async t => {
	t.timeout(10 * 60_000);
	await flipByte(join(await findBase(), '10-base.squashfs'), 100_000);
	await run(command('four.iso'));
	const [digest] = (await readFile(join(folder, 'four.iso.sha256'), 'utf8')).split(' ');
	t.is((await run(['sha256sum', join(folder, 'four.iso')])).split(' ')[0], digest);
});
