import {chmod, mkdtemp, readdir, readFile, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {apply, machineProbe} from './apply.ts';
import {planHostKeys} from './host-keys.ts';
import type {Command, Probe, Step} from './phase.ts';

/** A machine whose /etc/ssh is a folder, and the real programs. */
async function inMachine(use: (folder: string, plan: () => Promise<Step[]>) => Promise<void>): Promise<void> {
	const folder = await mkdtemp(join(tmpdir(), 'bringup-keys-'));
	const place = (text: string) => text.replaceAll('/etc/ssh/', `${folder}/`);
	const probe: Probe = {
		...machineProbe,
		output: command => machineProbe.output(command.map(place) as unknown as Command),
		read: path => machineProbe.read(place(path)),
	};
	try {
		await use(folder, () => planHostKeys(probe));
	} finally {
		await rm(folder, {recursive: true});
	}
}

/** Does the steps; `ssh-keygen -A` knows no other folder, so the kinds that lack are made one by one. */
async function perform(folder: string, steps: readonly Step[]): Promise<void> {
	for (const step of steps) {
		const {command} = step as {command?: Command};
		if (command?.[1] === '-A') await makeMissing(folder);
		else await apply(JSON.parse(JSON.stringify(step).replaceAll('/etc/ssh/', `${folder}/`)) as Step, () => {});
	}
}

async function makeMissing(folder: string): Promise<void> {
	const there = await readdir(folder);
	for (const kind of ['rsa', 'ecdsa', 'ed25519']) if (!there.includes(`ssh_host_${kind}_key`)) await make(folder, kind);
}

async function make(folder: string, kind: string, ...more: string[]): Promise<void> {
	const path = join(folder, `ssh_host_${kind}_key`);
	const command: Command = ['ssh-keygen', '-q', '-N', '', '-t', kind, ...more, '-f', path];
	await apply({do: 'run', command, why: 'make a key'}, () => {});
}

const whys = (steps: readonly Step[]) => steps.map(({why}) => why);

test('a key of another form, without its public half, or that others may read is kept', t =>
	inMachine(async (folder, plan) => {
		await make(folder, 'rsa', '-m', 'PEM');
		await make(folder, 'ecdsa');
		await make(folder, 'ed25519');
		const read = (name: string) => readFile(join(folder, name), 'utf8');
		const before = await Promise.all(['rsa', 'ecdsa', 'ed25519'].map(kind => read(`ssh_host_${kind}_key`)));
		t.deepEqual(await plan(), []);
		const pub = await read('ssh_host_ecdsa_key.pub');
		await rm(join(folder, 'ssh_host_ecdsa_key.pub'));
		await chmod(join(folder, 'ssh_host_rsa_key'), 0o644);
		await writeFile(join(folder, 'ssh_host_ed25519_key.pub'), '');
		for (const expected of [
			[
				'let nobody else read the rsa host key',
				'write the public half of the ecdsa host key',
				'write the public half of the ed25519 host key',
			],
			[],
		]) {
			const steps = await plan();
			t.deepEqual(whys(steps), expected);
			await perform(folder, steps);
		}
		t.deepEqual(await Promise.all(['rsa', 'ecdsa', 'ed25519'].map(kind => read(`ssh_host_${kind}_key`))), before);
		t.is((await read('ssh_host_ecdsa_key.pub')).split(' ')[1], pub.split(' ')[1]);
	}));

test('a key that ssh-keygen cannot read is replaced, and kept beside', t =>
	inMachine(async (folder, plan) => {
		await makeMissing(folder);
		const path = join(folder, 'ssh_host_rsa_key');
		const damaged = (await readFile(path, 'utf8')).slice(0, 800);
		await writeFile(path, damaged);
		await writeFile(join(folder, 'ssh_host_ecdsa_key'), Buffer.alloc(500));
		await perform(folder, await plan());
		t.deepEqual(await plan(), []);
		t.is(await readFile(`${path}.unreadable`, 'utf8'), damaged);
		t.false((await readdir(folder)).includes('ssh_host_ecdsa_key.unreadable'));
	}));

test('a program that could not be asked says nothing of a key', t =>
	inMachine(async (folder, plan) => {
		await make(folder, 'rsa', '-m', 'PEM');
		await rm(join(folder, 'ssh_host_rsa_key.pub'));
		const read: Probe['read'] = path => machineProbe.read(path.replace('/etc/ssh', folder));
		const output = async () => {
			throw new Error('ssh-keygen could not be run: spawn ENOMEM');
		};
		await t.throwsAsync(planHostKeys({...machineProbe, read, output}), {message: /ENOMEM/});
		t.is((await plan()).length, 2);
	}));
