import {readdirSync} from 'node:fs';
import {readdir, readFile, stat, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join, relative} from 'node:path';
import test from 'ava';
import {machineSchema} from '../../firstboot/sequence.ts';
import {withFolder} from '../folder.ts';
import {packageFolder} from '../paths.ts';
import {type CompleteProfile, completeProfile} from '../profile/complete.ts';
import {loadProfile} from '../profile/profile.ts';
import {ProgramError, run} from '../run.ts';
import {type FileTree, makeMachine, renderTree, writeTree} from './tree.ts';

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

const profiles = readdirSync(golden).filter(name => name.endsWith('.yaml'));

async function inWritten(use: (folder: string, tree: FileTree) => Promise<void>, file = 'node.yaml'): Promise<void> {
	await withFolder(tmpdir(), async folder => {
		const tree = await renderTree(await complete(join(golden, file)));
		await writeTree(tree, folder);
		await use(folder, tree);
	});
}

test('every shipped profile has golden files', async t => {
	const names = async (folder: string) => (await readdir(folder)).filter(name => name.endsWith('.yaml')).sort();
	t.deepEqual(await names(golden), await names(join(packageFolder, 'profiles')));
});

for (const file of profiles) {
	test(`${file} renders as its golden files (npm run golden)`, async t => {
		const rendered = await renderTree(await complete(join(golden, file)));
		const found = [...rendered].map(([path, {content, mode}]) => [path, {content, isProgram: mode === 0o755}]);
		t.deepEqual(found, [...(await readTree(join(golden, file.replace('.yaml', ''))))]);
	});
}

test('a machine without the section network has DHCP on every wired link', async t => {
	const profile = await complete(join(golden, 'node.yaml'));
	const {network: _, firewall: __, ...fields} = profile.fields;
	const tree = await renderTree({...profile, fields});
	const content = (path: string) => tree.get(`config/${path}`)?.content ?? '';
	t.regex(content('includes.chroot/etc/systemd/network/90-default.network'), /^Type=ether\n[\s\S]*^DHCP=yes$/m);
	t.regex(content('hooks/normal/9000-bringup.hook.chroot'), /^systemctl enable systemd-networkd\.service/m);
	t.regex(content('package-lists/bringup.list.chroot'), /^systemd-resolved$/m);
	t.false((await renderTree(profile)).has('config/includes.chroot/etc/systemd/network/90-default.network'));
});

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

/** What systemd has to say of the units of a tree, but for programs that are on the machine and not on this workstation. */
async function verifyUnits(folder: string): Promise<string[]> {
	const at = join(folder, 'config/includes.chroot/etc/systemd/system');
	const units = (await readdir(at)).filter(name => /\.(service|timer|target|socket|path|mount)$/.test(name));
	const paths = units.map(name => join(at, name));
	// It exits with 1 for a program that is missing too: what it says is what counts.
	const said: string[] = [];
	const onLine = (line: string) => said.push(line);
	await run(['systemd-analyze', 'verify', '--man=no', ...paths], {onLine}).catch(error => {
		if (!(error instanceof ProgramError) || said.length === 0) throw error;
	});
	const expected = /Command \/usr\/bin\/(bringup|udevadm) is not executable/;
	return said.filter(line => line.includes('bringup') && !expected.test(line));
}

test('systemd takes every unit of every profile, and would not take another', async t => {
	for (const file of profiles)
		await inWritten(async folder => {
			t.deepEqual(await verifyUnits(folder), [], file);
			const timer = join(folder, 'config/includes.chroot/etc/systemd/system/bringup-again.timer');
			await writeFile(timer, (await readFile(timer, 'utf8')).replace('[Timer]', '[Timer]\nOnNonsense=1'));
			t.regex((await verifyUnits(folder)).join('\n'), /bringup-again\.timer.*OnNonsense/, file);
		}, file);
});

test('the service wants no other unit: each program of it runs in a unit that binds to it, and would start that', t =>
	inWritten(async (_, tree) => {
		const unit = tree.get('config/includes.chroot/etc/systemd/system/bringup.service')?.content ?? '';
		t.regex(unit, /^ExecStart=/m);
		t.notRegex(unit, /^(Wants|Requires|Requisite|BindsTo|Upholds)=/m);
	}));

test("systemd rates the service's exposure below 4.0", t =>
	inWritten(async folder => {
		const unit = join(folder, 'config/includes.chroot/etc/systemd/system/bringup.service');
		await run(['systemd-analyze', 'security', '--offline=true', '--threshold=39', unit]);
		t.pass();
	}));

test('the shell takes every script, and every script in a script', async t => {
	const taken = new Set<string>();
	for (const file of profiles)
		await inWritten(async (folder, tree) => {
			for (const [path, {content}] of tree) {
				if (!content.startsWith('#!/bin/sh') && path !== 'config/includes.chroot/etc/default/grub') continue;
				await t.notThrowsAsync(run(['sh', '-n', join(folder, path)]), path);
				const inner = [...content.matchAll(/<<'END'\n([\s\S]*?)\nEND\n/g)].map(([, text = '']) => text);
				for (const text of inner.filter(text => text.startsWith('#!/bin/sh')))
					await t.notThrowsAsync(run(['sh', '-n'], {input: text}), path);
				taken.add(path).add(`${path} (${inner.length})`);
			}
		}, file);
	const wanted = [
		'auto/config',
		'config/hooks/normal/5000-live-boot.hook.chroot (2)',
		'config/includes.chroot/usr/bin/bringup',
	];
	for (const path of wanted) t.true(taken.has(path), path);
	t.true([...taken].filter(path => path.startsWith('config/hooks/live/')).length > 0);
	await t.throwsAsync(run(['sh', '-n'], {input: '#!/bin/sh\nif true\n'}));
});

test("GRUB's own parser takes every menu", async t => {
	const taken = new Set<string>();
	for (const file of profiles)
		await inWritten(async (folder, tree) => {
			for (const path of [...tree.keys()].filter(path => path.endsWith('grub.cfg'))) {
				await t.notThrowsAsync(run(['grub-script-check', join(folder, path)]), path);
				taken.add(path);
			}
		}, file);
	t.deepEqual([...taken].sort(), [
		'config/includes.binary/boot/grub/grub.cfg',
		'config/includes.binary/boot/grub/x86_64-efi/grub.cfg',
		'pxe/grub/grub.cfg',
	]);
});

test('debconf takes what the hook tells it: updates renew the removable path of the boot loader', t =>
	inWritten(async folder => {
		const hook = await readFile(join(folder, 'config/hooks/normal/9000-bringup.hook.chroot'), 'utf8');
		const [, selection = ''] = /^echo '(.*)' \| debconf-set-selections$/m.exec(hook) ?? [];
		t.is(selection, 'grub-efi-amd64 grub2/force_efi_extra_removable boolean true');
		const said: string[] = []; // of what it does not take it only warns
		await run(['debconf-set-selections', '--checkonly'], {input: `${selection}\n`, onLine: line => said.push(line)});
		t.deepEqual(said, []);
	}));
