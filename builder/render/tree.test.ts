import {readdirSync} from 'node:fs';
import {readdir, readFile, stat} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join, relative} from 'node:path';
import test from 'ava';
import {machineSchema} from '../../firstboot/sequence.ts';
import {withFolder} from '../folder.ts';
import {packageFolder} from '../paths.ts';
import {type CompleteProfile, completeProfile} from '../profile/complete.ts';
import {loadProfile} from '../profile/profile.ts';
import {run} from '../run.ts';
import {makeMachine, renderTree, writeTree} from './tree.ts';

const golden = join(packageFolder, 'builder/render/golden');
const workstation = {mirror: 'http://mirror.example/debian', securityMirror: undefined, sshKeys: []};

async function complete(path: string): Promise<CompleteProfile> {
	const profile = completeProfile(await loadProfile(path), workstation);
	if (Array.isArray(profile)) throw new Error(JSON.stringify(profile));
	return profile;
}

async function readTree(folder: string): Promise<Map<string, {content: string; isProgram: boolean}>> {
	const entries = (await readdir(folder, {recursive: true, withFileTypes: true})).filter(entry => entry.isFile());
	const paths = entries.map(entry => relative(folder, join(entry.parentPath, entry.name))).sort();
	const files = paths.map(async path => {
		const isProgram = ((await stat(join(folder, path))).mode & 0o100) > 0; // git keeps no more of a mode
		return [path, {content: await readFile(join(folder, path), 'utf8'), isProgram}] as const;
	});
	return new Map(await Promise.all(files));
}

async function inWritten(use: (folder: string) => Promise<void>): Promise<void> {
	await withFolder(tmpdir(), async folder => {
		await writeTree(await renderTree(await complete(join(golden, 'node.yaml'))), folder);
		await use(folder);
	});
}

test('every shipped profile has golden files', async t => {
	const names = async (folder: string) => (await readdir(folder)).filter(name => name.endsWith('.yaml')).sort();
	t.deepEqual(await names(golden), await names(join(packageFolder, 'profiles')));
});

for (const file of readdirSync(golden).filter(name => name.endsWith('.yaml'))) {
	test(`${file} renders as its golden files (npm run golden)`, async t => {
		const rendered = await renderTree(await complete(join(golden, file)));
		const found = [...rendered].map(([path, {content, mode}]) => [path, {content, isProgram: mode === 0o755}]);
		t.deepEqual(found, [...(await readTree(join(golden, file.replace('.yaml', ''))))]);
	});
}

test('the machine reads what the builder writes', async t => {
	const machine = makeMachine(await complete(join(golden, 'node.yaml')));
	t.deepEqual(machineSchema.parse(JSON.parse(JSON.stringify(machine))), machine);
});

test("Debian's live-build takes the tree", t =>
	inWritten(async folder => {
		await run(['lb', 'config'], {cwd: folder});
		const binary = await readFile(join(folder, 'config/binary'), 'utf8');
		t.regex(binary, /LB_BOOTAPPEND_LIVE="boot=live .*systemd\.unit=bringup-install\.target/);
		t.regex(
			await readFile(join(folder, 'config/bootstrap'), 'utf8'),
			/LB_MIRROR_BOOTSTRAP="http:\/\/mirror\.example\/debian"/,
		);
	}));

test('systemd takes the units', t =>
	inWritten(async folder => {
		const units = join(folder, 'config/includes.chroot/etc/systemd/system');
		const names = ['bringup.service', 'bringup-install.service', 'bringup-install.target'];
		// The program and its manual are not on this workstation; anything else that systemd says is a fault.
		const output = await run(['systemd-analyze', 'verify', '--man=no', ...names.map(name => join(units, name))]).catch(
			error => String(error.output),
		);
		const lines = output
			.split('\n')
			.filter(
				line => line.includes('bringup') && !/Command \/usr\/bin\/(bringup|udevadm) is not executable/.test(line),
			);
		t.deepEqual(lines, []);
	}));

test("systemd rates the service's exposure below 4.0", t =>
	inWritten(async folder => {
		const unit = join(folder, 'config/includes.chroot/etc/systemd/system/bringup.service');
		await run(['systemd-analyze', 'security', '--offline=true', '--threshold=39', unit]);
		t.pass();
	}));

test('the shell takes the scripts', t =>
	inWritten(async folder => {
		for (const script of [
			'auto/config',
			'config/hooks/normal/9000-bringup.hook.chroot',
			'config/includes.chroot/usr/bin/bringup',
			'config/includes.chroot/etc/default/grub',
		]) {
			await run(['sh', '-n', join(folder, script)]);
		}
		t.pass();
	}));

test("GRUB's own parser takes the menu", t =>
	inWritten(async folder => {
		await run(['grub-script-check', join(folder, 'config/includes.binary/boot/grub/grub.cfg')]);
		t.pass();
	}));
