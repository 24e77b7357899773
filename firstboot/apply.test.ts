import {mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import test from 'ava';
import {apply, CommandError, inUnit, machineProbe} from './apply.ts';
import {writeDurably} from './files.ts';
import {formatSeconds, limitOf} from './limits.ts';

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
	const line = inUnit(['mkfs.ext4', '-L', 'a $b {$c}'], 'make it', 60);
	t.deepEqual(line.slice(line.indexOf('--')), ['--', 'mkfs.ext4', '-L', 'a $$b {$$c}']);
	t.true(line.includes('--setenv=LC_ALL=C.UTF-8'));
	t.true(line.includes('--property=RuntimeMaxSec=60'));
});

test('standard input reaches the program', t =>
	inFolder(async folder => {
		const path = join(folder, 'out');
		await apply({do: 'run', command: ['tee', path], stdin: 'secret', why: 'write'}, silent);
		t.is(await readFile(path, 'utf8'), 'secret');
	}));

/** A program of Node.js, to be run with so much time. */
const program = (code: string, seconds: number) =>
	({do: 'run', command: [process.execPath, '-e', code], why: 'run', seconds}) as const;

const isThere = (pid: number): boolean => {
	try {
		return process.kill(pid, 0);
	} catch {
		return false;
	}
};

/** Until the process is gone: it may be a moment before its new parent has seen its end. */
async function waitForEnd(pid: number): Promise<boolean> {
	for (let tries = 0; isThere(pid) && tries < 100; tries++) await sleep(50);
	return !isThere(pid);
}

test('a program that never ends is stopped when its time is over, and that is said', async t => {
	const began = performance.now();
	const error = await t.throwsAsync(apply(program("console.log('so far'); setInterval(() => {}, 1000)", 1), silent), {
		instanceOf: CommandError,
		message: /did not end within 1 s, and was stopped/,
	});
	t.deepEqual(error?.lines, ['so far']);
	t.true(performance.now() - began < 3000);
});

test('a program that takes SIGTERM for nothing is killed, with what it has started', t =>
	inFolder(async folder => {
		const path = join(folder, 'pids');
		const stubborn = "process.on('SIGTERM', () => {}); setInterval(() => {}, 1000);";
		const code = `
			const {spawn} = require('node:child_process');
			const child = spawn(process.execPath, ['-e', ${JSON.stringify(stubborn)}], {stdio: 'inherit'});
			require('node:fs').writeFileSync(${JSON.stringify(path)}, process.pid + ' ' + child.pid);
			${stubborn}`;
		await t.throwsAsync(apply(program(code, 2), silent), {message: /did not end within 2 s/});
		const pids = (await readFile(path, 'utf8')).split(' ').map(Number);
		t.is(pids.length, 2);
		for (const pid of pids) t.true(await waitForEnd(pid), `${pid}`);
	}));

test('a program that has ended is not waited for because another has its output open', t =>
	inFolder(async folder => {
		const path = join(folder, 'pid');
		const code = `
			const {spawn} = require('node:child_process');
			const child = spawn(process.execPath, ['-e', 'setTimeout(() => {}, 60000)'], {stdio: 'inherit', detached: true});
			require('node:fs').writeFileSync(${JSON.stringify(path)}, String(child.pid));
			child.unref();`;
		const began = performance.now();
		await apply(program(code, 30), silent);
		t.true(performance.now() - began < 15_000);
		const pid = Number(await readFile(path, 'utf8'));
		t.true(isThere(pid));
		process.kill(pid);
	}));

test('a named pipe is no file that a question waits for', t =>
	inFolder(async folder => {
		const path = join(folder, 'pipe');
		await apply({do: 'run', command: ['mkfifo', path], why: 'make it'}, silent);
		await t.throwsAsync(machineProbe.read(path), {message: /is no file that ends/});
		await t.throwsAsync(machineProbe.readBytes(path, 10), {message: /is no file that ends/});
	}));

test('a program that goes over a disk has hours, another one minutes', t => {
	for (const slow of ['mkfs.ext4', 'qemu-img', 'unsquashfs', 'sync', 'setpriv'])
		t.true(limitOf([slow]) >= 4 * 3600, slow);
	for (const quick of ['virsh', 'ip', 'useradd']) t.true(limitOf([quick]) <= 1800, quick);
	t.deepEqual([1.5, 60, 300, 14_400].map(formatSeconds), ['1.5 s', '60 s', '5 minutes', '4 hours']);
});
