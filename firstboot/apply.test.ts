import {mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {apply, CommandError, inUnit, machineDoor, machineProbe, writeDurably} from './apply.ts';

async function inFolder(use: (folder: string) => Promise<void>): Promise<void> {
	const folder = await mkdtemp(join(tmpdir(), 'bringup-test-'));
	try {
		await use(folder);
	} finally {
		await rm(folder, {recursive: true});
	}
}

const silent = () => {};

test('a file is written with its mode, its folders made, and nothing left beside it', t =>
	inFolder(async folder => {
		const path = join(folder, 'a/b/c');
		await writeDurably(path, 'content', 0o600);
		t.is(await readFile(path, 'utf8'), 'content');
		t.is((await stat(path)).mode & 0o777, 0o600);
		t.deepEqual(await readdir(join(folder, 'a/b')), ['c']);
	}));

test('what a power cut left half-written is written over', t =>
	inFolder(async folder => {
		await writeFile(join(folder, '.file.bringup'), 'half of something longer');
		await writeDurably(join(folder, 'file'), 'new', 0o644);
		t.deepEqual(await readdir(folder), ['file']);
		t.is(await readFile(join(folder, 'file'), 'utf8'), 'new');
	}));

test('a symbolic link stays one: what it leads to is written', t =>
	inFolder(async folder => {
		await writeFile(join(folder, 'real'), 'old');
		await symlink('real', join(folder, 'link'));
		await writeDurably(join(folder, 'link'), 'new', 0o644);
		t.is(await readFile(join(folder, 'real'), 'utf8'), 'new');
		t.true(
			(await readdir(folder, {withFileTypes: true})).some(entry => entry.name === 'link' && entry.isSymbolicLink()),
		);
	}));

test('an absent file is undefined, a folder in its place is an error', async t => {
	t.is(await machineProbe.read('/nonexistent/file'), undefined);
	await t.throwsAsync(machineProbe.read('/etc'), {code: 'EISDIR'});
});

test('a folder is listed with what its links lead to, and an absent one is undefined', t =>
	inFolder(async folder => {
		await writeFile(join(folder, 'file'), 'four');
		await symlink('nowhere', join(folder, 'link'));
		await mkdir(join(folder, 'inner'));
		const found = await machineProbe.list(folder);
		t.deepEqual([...(found?.keys() ?? [])].sort(), ['file', 'inner', 'link']);
		t.like(found?.get('file'), {type: 'f', size: '4', target: ''});
		t.like(found?.get('link'), {type: 'l', target: 'nowhere'});
		t.is(found?.get('inner')?.type, 'd');
		t.is(found?.get('file')?.inode, String((await stat(join(folder, 'file'))).ino));
		t.is(await machineProbe.list(join(folder, 'none')), undefined);
		t.is(await machineProbe.list(join(folder, 'file')), undefined);
	}));

test('a program that runs beside others answers, or fails, as one that is waited for', async t => {
	t.is(await machineDoor.askBeside(['cat']), '');
	t.is(await machineDoor.askBeside(['echo', 'a  b']), 'a  b\n');
	const error = await t.throwsAsync(machineDoor.askBeside(['ls', '/nonexistent']), {instanceOf: CommandError});
	t.is(error?.message, 'ls exited with 2');
	await t.throwsAsync(machineDoor.askBeside(['no-such-program']), {message: /no-such-program could not be run/});
});

test('a program that fails gives its command and its last lines', async t => {
	const error = await t.throwsAsync(machineProbe.output(['ls', '/nonexistent']), {instanceOf: CommandError});
	t.deepEqual(error?.command, ['ls', '/nonexistent']);
	t.regex(error?.lines.join('\n') ?? '', /nonexistent/);
	t.is(error?.message, 'ls exited with 2');
});

test('a program that is not there says so', async t => {
	await t.throwsAsync(machineProbe.output(['no-such-program']), {message: /no-such-program/});
});

test('a wait ends when its command succeeds, or fails with what it said', t =>
	inFolder(async folder => {
		const path = join(folder, 'there');
		const timer = setTimeout(() => void writeFile(path, ''), 300);
		await apply({do: 'wait', until: ['test', '-e', path], seconds: 5, why: 'wait'}, silent);
		clearTimeout(timer);
		await t.throwsAsync(apply({do: 'wait', until: ['ls', join(folder, 'never')], seconds: 0, why: 'wait'}, silent), {
			message: /did not succeed within 0 s/,
		});
	}));

test('a program in a unit of its own gets its arguments as they are, dollars doubled for systemd', t => {
	const line = inUnit(['mkfs.ext4', '-L', 'a $b {$c}'], 'make it');
	t.deepEqual(line.slice(line.indexOf('--')), ['--', 'mkfs.ext4', '-L', 'a $$b {$$c}']);
	t.true(line.includes('--setenv=LC_ALL=C.UTF-8'));
});

test('standard input reaches the program', t =>
	inFolder(async folder => {
		const path = join(folder, 'out');
		await apply({do: 'run', command: ['tee', path], stdin: 'secret', why: 'write'}, silent);
		t.is(await readFile(path, 'utf8'), 'secret');
	}));
