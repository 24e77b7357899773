import {readFile, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {withFolder} from '../folder.ts';
import {loadProfile} from '../profile/profile.ts';
import {run} from '../run.ts';
import {listIsoArguments} from './iso.ts';
import {buildLayer} from './layer.ts';
import {listTopLayer, readSecrets} from './medium.ts';

const inFolder = (use: (folder: string) => Promise<void>) => withFolder(tmpdir(), use);

const profileWith = (password: string) => `schema: 1
install: {disk: {minSize: 16G}}
identity: {hostname: node, users: [{name: admin, sshKeys: auto, password: {secret: ${password}}}]}
`;
const hash = '$y$j9T$abcdefgh$0123456789012345678901234567890123456789012';

test('a secret comes from a file beside the profile, or from the environment', t =>
	inFolder(async folder => {
		const path = join(folder, 'p.yaml');
		await writeFile(join(folder, 'hash.txt'), `${hash}\n`);
		await writeFile(path, profileWith('{file: hash.txt}'));
		t.deepEqual(
			[...(await readSecrets(await loadProfile(path), {})).secrets],
			[['/etc/bringup/secrets/file-hash.txt', hash]],
		);
		await writeFile(path, profileWith('{env: ADMIN}'));
		t.deepEqual(
			[...(await readSecrets(await loadProfile(path), {ADMIN: hash})).secrets],
			[['/etc/bringup/secrets/env-ADMIN', hash]],
		);
	}));

test('a secret that is missing or no hash is a fault, and the fault does not say it', t =>
	inFolder(async folder => {
		const path = join(folder, 'p.yaml');
		await writeFile(path, profileWith('{env: ADMIN}'));
		const profile = await loadProfile(path);
		t.regex((await readSecrets(profile, {})).missing[0]?.message ?? '', /the environment variable ADMIN is not there/);
		const {faults, secrets} = await readSecrets(profile, {ADMIN: 'hunter2'});
		t.regex(faults[0]?.message ?? '', /mkpasswd/);
		t.false(JSON.stringify(faults).includes('hunter2'));
		t.is(secrets.size, 0);
	}));

test('the password of a registry is no hash of a user, and is taken as it is', t =>
	inFolder(async folder => {
		const path = join(folder, 'p.yaml');
		const digest = 'a'.repeat(64);
		const own = `kubernetes:
  role: server
  cluster: home
  binary: {asset: {url: 'https://mirror.example/k3s', sha256: ${digest}}}
  registries: {configs: {'mirror.example': {auth: {username: me, password: {secret: {env: PLAIN}}}}}}
`;
		await writeFile(path, profileWith('{env: ADMIN}') + own);
		const {faults, secrets} = await readSecrets(await loadProfile(path), {ADMIN: hash, PLAIN: 'hunter2'});
		t.deepEqual(faults, []);
		t.is(secrets.get('/etc/bringup/secrets/env-PLAIN'), 'hunter2');
	}));

const tree = new Map([
	['config/includes.chroot/etc/issue', {content: 'hello\n', mode: 0o644}],
	['config/includes.binary/boot/grub/grub.cfg', {content: 'menu\n', mode: 0o644}],
	['config/package-lists/x.list.chroot', {content: 'x\n', mode: 0o644}],
]);

test('the same inputs have the same number, and any input changes it', t => {
	const id = (bundle: string, base: unknown, files = tree) => listTopLayer(files, bundle, new Map(), base).buildId;
	t.regex(id('b', 1), /^[0-9a-f]{16}$/);
	t.is(id('b', 1), id('b', 1));
	const menu = new Map([
		...tree,
		['config/includes.binary/boot/grub/grub.cfg', {content: 'other\n', mode: 0o644}],
	] as const);
	t.is(new Set([id('b', 1), id('c', 1), id('b', 2), id('b', 1, menu)]).size, 4);
});

test("the profile's layer holds its files with their modes, owned by root, and the same bytes each time", t =>
	inFolder(async folder => {
		const {files} = listTopLayer(tree, 'bundle', new Map([['/etc/bringup/secrets/env-A', hash]]), 1);
		const [one, two] = [join(folder, '1.squashfs'), join(folder, '2.squashfs')];
		await buildLayer(files, one, 1_790_000_000);
		await buildLayer(files, two, 1_790_000_000);
		const list = await run(['unsquashfs', '-lln', one]);
		t.regex(list, /^drwxr-xr-x 0\/0 .* squashfs-root$/m);
		t.regex(list, /^-rw-r--r-- 0\/0 .* 2026-09-2\d .* squashfs-root\/etc\/issue$/m); // 1_790_000_000
		t.regex(list, /^-rw------- 0\/0 .* squashfs-root\/etc\/bringup\/secrets\/env-A$/m);
		t.regex(list, /^-rwxr-xr-x 0\/0 .* squashfs-root\/usr\/lib\/bringup\/firstboot\.cjs$/m);
		t.notRegex(list, /package-lists|boot\/grub/);
		t.deepEqual(await readFile(one), await readFile(two));
	}));

test('the boot records are those of the firmware that the profile allows', t => {
	const contents = new Map([['live/vmlinuz', '/cache/vmlinuz']]);
	const both = listIsoArguments('/base', contents, '/out.iso', ['uefi', 'bios'], 0).join(' ');
	t.regex(
		both,
		/-b boot\/grub\/bios\.img .* --grub2-mbr \/base\/boot_hybrid\.img .* -append_partition 2 0xef \/base\/efi\.img/,
	);
	t.regex(both, /-graft-points live\/vmlinuz=\/cache\/vmlinuz$/);
	t.notRegex(listIsoArguments('/base', contents, '/out.iso', ['uefi'], 0).join(' '), /bios\.img|grub2-mbr/);
	t.notRegex(listIsoArguments('/base', contents, '/out.iso', ['bios'], 0).join(' '), /efi\.img/);
});
