import {chmod, mkdir, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {withFolder} from './folder.ts';
import {packageFolder} from './paths.ts';
import {ProgramError, run} from './run.ts';
import {checkArchitecture, findMirrors, formatKey, readDebianMirror, readOwnKeys} from './workstation.ts';

delete process.env['SSH_AUTH_SOCK']; // the keys of whoever runs this are his

const line = (uri: string, suite: string) => `'${uri}/dists/${suite}/main/binary-amd64/Packages.xz' x 0\n`;
const debian = 'http://mirror.example/some/debian';

test("the mirror is that of Debian's own suite, and not of what else is called stable", t => {
	const chrome = line('https://other.example/chrome/deb', 'stable');
	t.deepEqual(findMirrors(chrome), {mirror: undefined, securityMirror: undefined});
	t.deepEqual(
		findMirrors(
			chrome +
				line(debian, 'trixie') +
				line(debian, 'trixie-updates') +
				line('http://mirror.example/security', 'trixie-security'),
		),
		{mirror: debian, securityMirror: 'http://mirror.example/security'},
	);
});

test('a mirror of another name is known by the updates beside it', t => {
	const uri = 'http://mirror.example/deb';
	t.is(findMirrors(line(uri, 'bookworm') + line(uri, 'bookworm-updates')).mirror, uri);
	t.is(findMirrors(line(uri, 'bookworm')).mirror, undefined);
	t.is(findMirrors(line('http://mirror.example/ubuntu', 'noble')).mirror, undefined);
});

test("the user's own keys are those of id_*.pub, and not all that lie beside them; a build says whose they are", t =>
	withFolder(tmpdir(), async home => {
		const folder = join(home, '.ssh');
		await mkdir(folder);
		const make = (name: string) =>
			run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', `${name} key`, '-f', join(folder, name)]);
		for (const name of ['id_ed25519', 'id_work', 'colleague', 'github_deploy']) await make(name);
		await writeFile(join(folder, 'id_broken.pub'), 'ssh-ed25519 AAAA\n');
		const keys = await readOwnKeys({HOME: home});
		t.deepEqual(
			keys.map(key => key.split(' ').slice(2).join(' ')),
			['id_ed25519 key', 'id_work key'],
		);
		const shown = await run(['ssh-keygen', '-l', '-f', join(folder, 'id_ed25519.pub')]);
		t.true(shown.includes(formatKey(keys[0] ?? '')));
	}));

test('a workstation of another processor is told so, by setup.sh and by a build', t =>
	withFolder(tmpdir(), async folder => {
		t.notThrows(() => checkArchitecture('x64'));
		t.throws(() => checkArchitecture('arm64'), {message: /amd64 alone; this workstation is arm64\. Use an amd64 one/});
		await writeFile(join(folder, 'uname'), '#!/bin/sh\necho aarch64\n');
		await chmod(join(folder, 'uname'), 0o755);
		const env = {PATH: `${folder}:${process.env['PATH']}`};
		const error = await t.throwsAsync(run(['sh', join(packageFolder, 'setup.sh'), 'compile'], {env}), {
			instanceOf: ProgramError,
		});
		t.regex(error.output, /^error: .*amd64 alone; this workstation is aarch64/m);
	}));

test("Debian's own archive is the one that mmdebstrap takes", async t => {
	t.regex((await readDebianMirror('/usr/local/bin:/usr/bin')) ?? '', /^https?:\/\/[^/]+\/debian$/);
	t.is(await readDebianMirror('/nonexistent'), undefined);
});
