import {mkdir, readdir, readFile, writeFile} from 'node:fs/promises';
import {createServer} from 'node:http';
import type {AddressInfo} from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {say} from './bringup.test.say.ts';
import {withFolder} from './folder.ts';
import {packageFolder} from './paths.ts';
import {ProgramError, run} from './run.ts';

/** Runs bringup as a process. */
async function start(...words: string[]): Promise<{code: number; text: string}> {
	try {
		return {code: 0, text: await run(['node', join(packageFolder, 'dist/builder/cli.js'), ...words])};
	} catch (error) {
		if (!(error instanceof ProgramError)) throw error;
		return {code: (error.cause as {exitCode: number}).exitCode, text: error.output};
	}
}

const inFolder = (use: (folder: string) => Promise<void>) => withFolder(tmpdir(), use);

const golden = join(packageFolder, 'builder/render/golden/node.yaml');

test('help is on standard output and no failure, for the whole and for each command', async t => {
	const started = await start('--help');
	t.is(started.code, 0);
	t.regex(started.text, /^usage: /);
	for (const args of [[], ['build-iso', '--help'], ['plan', '-h']]) {
		const {code, text} = await say(args);
		t.is(code, 0);
		t.regex(text, /^usage: /);
	}
});

test('who cannot write what it has to say fails', async t => {
	const cli = join(packageFolder, 'dist/builder/cli.js');
	await t.throwsAsync(run(['/bin/sh', '-c', 'exec node "$0" --help >/dev/full', cli]), {instanceOf: ProgramError});
	await t.notThrowsAsync(run(['/bin/sh', '-c', 'node "$0" schema | head -c 1', cli]));
});

test('an unknown command and an unknown option are the words of the user: exit 2', async t => {
	const unknown = await start('bake-anew');
	t.is(unknown.code, 2);
	t.regex(unknown.text, /there is no command bake-anew/);
	const {code, text} = await say(['check', '--profil', 'node']);
	t.is(code, 2);
	t.regex(text, /error: Unknown option '--profil'/);
});

test('a profile with faults is exit 2, and nothing is written', t =>
	inFolder(async folder => {
		await writeFile(join(folder, 'p.yaml'), 'schema: 1\n');
		const {code, text} = await say([
			'build-iso',
			'--profile',
			join(folder, 'p.yaml'),
			'--out',
			join(folder, 'out/p.iso'),
		]);
		t.is(code, 2);
		t.regex(text, /p\.yaml:1:1: error: install: is missing/);
		t.deepEqual(await readdir(folder), ['p.yaml']);
	}));

test('render refuses a folder that is not empty', t =>
	inFolder(async folder => {
		await writeFile(join(folder, 'precious'), '');
		const {code, text} = await say(['render', '--profile', golden, '-o', folder]);
		t.is(code, 1);
		t.regex(text, /is not empty/);
		t.deepEqual(await readdir(folder), ['precious']);
	}));

test('an output folder that cannot be written is told before anything slow', t =>
	inFolder(async folder => {
		await writeFile(join(folder, 'file'), '');
		const {code, text} = await say([
			'build-iso',
			'--profile',
			golden,
			'--out',
			join(folder, 'file/p.iso'),
			'--cache',
			join(folder, 'cache'),
		]);
		t.is(code, 1);
		t.regex(text, /error: cannot write .*p\.iso: .*Choose another place with --out/);
	}));

test('a file that bringup has not made is not replaced, whichever command would write it', t =>
	inFolder(async folder => {
		const precious = join(folder, 'thesis.iso');
		await writeFile(precious, 'three years of work');
		const cache = ['--cache', join(folder, 'cache')];
		for (const words of [
			['build-iso', '--profile', golden, ...cache],
			['lock', '--profile', golden, ...cache],
			['lock-installer', '--profile', golden, ...cache],
			['build-pxe', '--profile', golden, ...cache],
		]) {
			const {code, text} = await say([...words, '--out', precious]);
			t.is(code, 1, words[0]);
			t.regex(text, /thesis\.iso is there,? and .*choose another place with --out/, words[0]);
			t.is(await readFile(precious, 'utf8'), 'three years of work');
		}
	}));

async function withMirror(status: number, use: (url: string) => Promise<void>): Promise<void> {
	const server = createServer((_request, response) => response.writeHead(status).end());
	await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
	try {
		await use(`http://127.0.0.1:${(server.address() as AddressInfo).port}/debian`);
	} finally {
		server.close();
	}
}

test('a mirror that does not answer is named with the remedy, and nothing is left', t =>
	inFolder(async folder => {
		let url = '';
		await withMirror(404, async there => {
			url = there; // closed again below: nobody listens there any more
		});
		const profile = join(folder, 'p.yaml');
		await writeFile(profile, `extends: ${golden}\nschema: 1\ndebian: {mirror: '${url}'}\n`);
		await mkdir(join(folder, 'out'));
		const {code, text} = await say([
			'build-iso',
			'--profile',
			profile,
			'--out',
			join(folder, 'out/p.iso'),
			'--cache',
			join(folder, 'cache'),
		]);
		t.is(code, 1);
		t.regex(text, /could not download from the Debian archive/);
		t.regex(text, /check the network and the mirror \(http:\/\/127\.0\.0\.1/);
		t.deepEqual(await readdir(join(folder, 'out')), []);
	}));

test('a mirror without the release is named with the remedy', t =>
	withMirror(404, async url => {
		await inFolder(async folder => {
			const profile = join(folder, 'p.yaml');
			await writeFile(profile, `extends: ${golden}\nschema: 1\ndebian: {mirror: '${url}'}\n`);
			const {code, text} = await say(['check', '--profile', profile, '--cache', join(folder, 'cache')]);
			t.is(code, 1);
			t.regex(text, /404\s+Not Found/);
			t.regex(text, /has no such release; check debian\.mirror/);
		});
	}));

test('the plan of a blank machine is text, and data for a program', async t => {
	const {text} = await say(['plan', '--profile', golden]);
	t.regex(text, /^install\n {2}disk\n[\s\S]*partition nvme0n1[\s\S]*^provision\n {2}recovery/m);
	const plans = JSON.parse((await say(['plan', '--profile', golden, '--json'])).text) as {
		sequence: string;
		phases: {phase: string; steps: unknown[]}[];
	}[];
	t.deepEqual(
		plans.map(({sequence}) => sequence),
		['install', 'provision'],
	);
	t.true(plans.every(({phases}) => phases.length > 3));
});

test('a machine that was recorded is planned for', async t => {
	const record = join(packageFolder, 'firstboot/machines/provisioned.json');
	const {code, text} = await say(['plan', '--profile', golden, '--machine', record]);
	t.is(code, 1);
	t.regex(text, /error: install would stop: /);
});
