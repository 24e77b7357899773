import {readFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {explain} from './failure.ts';
import {withFolder} from './folder.ts';
import {maskUrls} from './printable.ts';
import {checkPrograms, ProgramError, pipe, run, runLong, UserError, withLock} from './run.ts';

test('a program that fails gives its command, its output and its log', t =>
	withFolder(tmpdir(), async folder => {
		const log = join(folder, 'log');
		const error = await t.throwsAsync(run(['ls', '/nonexistent'], {log}), {instanceOf: ProgramError});
		t.is(error?.message, 'ls exited with 2');
		t.regex(error?.output ?? '', /nonexistent/);
		t.regex(await readFile(log, 'utf8'), /^\$ ls \/nonexistent\n.*nonexistent/);
	}));

test('a program that is not installed is named with its package', async t => {
	await t.throwsAsync(checkPrograms(['ls', 'mksquashfs', 'no-such'], '/nonexistent:/bin'), {
		message: /no-such.*apt-get install/,
	});
	await t.throwsAsync(checkPrograms(['mformat'], '/nonexistent'), {
		message: /apt-get install --no-install-recommends mtools/,
	});
	await checkPrograms(['ls'], '/nonexistent:/bin:/usr/bin');
	await t.throwsAsync(runLong(['no-such-program']), {message: /^no-such-program is not installed/});
});

test('the password of a URL is in no message and no log, also where the output comes in pieces', t =>
	withFolder(tmpdir(), async folder => {
		const log = join(folder, 'log');
		const url = 'https://own:pass word@mirror.example/debian'.replace(' ', '%20');
		const script = `import os, sys, time
for part in ('E: http://own:pa', 'ss%20word@mirror.example/x', ' failed\\nE: ftp://tok', 'en@mirror.example'):
	sys.stdout.write(part); sys.stdout.flush(); time.sleep(0.05)
sys.exit(3)`;
		const error = await t.throwsAsync(run(['python3', '-c', script, url], {log}), {instanceOf: ProgramError});
		const written = await readFile(log, 'utf8');
		for (const text of [...explain(error), error?.output, error?.message, written].map(String))
			t.notRegex(text, /pass%20word|token/);
		t.regex(
			written,
			/https:\/\/\*+@mirror\.example\/debian[\s\S]*http:\/\/\*+@mirror\.example\/x failed\nE: ftp:\/\/\*+@mirror/,
		);
		t.is(
			maskUrls('http://mirror.example/a@b, //x@y and a@b.example'),
			'http://mirror.example/a@b, //x@y and a@b.example',
		);
	}));

test('one program feeds another', t =>
	withFolder(tmpdir(), async folder => {
		const out = join(folder, 'out');
		await pipe(['seq', '100000'], ['tee', out]);
		t.is((await readFile(out, 'utf8')).split('\n').length, 100_001);
	}));

test('of two programs in a pipe the one that failed first is named, and the other does not wait for ever', async t => {
	t.timeout(20_000);
	await t.throwsAsync(pipe(['head', '-c', '300000000', '/dev/zero'], ['false']), {message: 'false exited with 1'});
	await t.throwsAsync(pipe(['false'], ['cat']), {message: 'false exited with 1'});
});

test('a log on a full disk hides nothing', async t => {
	t.timeout(20_000);
	await t.throwsAsync(run(['ls', '/nonexistent'], {log: '/dev/full'}), {message: 'ls exited with 2'});
	t.is(await run(['echo', 'fine'], {log: '/dev/full'}), 'fine\n');
});

test('an abort ends the program', async t => {
	t.timeout(20_000);
	await t.throwsAsync(runLong(['sleep', '60'], {signal: AbortSignal.timeout(200)}), {message: 'sleep was interrupted'});
});

test('what one holds another does not get, until it lets go or ends', async t => {
	await withFolder(tmpdir(), async folder => {
		const file = join(folder, 'lock');
		const busy = () => withLock(file, 'busy', async () => {});
		await withLock(file, 'busy', async () => {
			await t.throwsAsync(busy(), {instanceOf: UserError, message: 'busy'});
		});
		await t.notThrowsAsync(busy());
		const failing = withLock(file, 'busy', () => Promise.reject(new Error('mine')));
		await t.throwsAsync(failing, {message: 'mine'});
		await t.notThrowsAsync(busy());
		await t.throwsAsync(
			withLock(`${folder}/none/there`, 'busy', async () => {}),
			{instanceOf: ProgramError},
		);
	});
});
