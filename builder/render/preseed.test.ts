import {readdirSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {withFolder} from '../folder.ts';
import {packageFolder} from '../paths.ts';
import {completeProfile} from '../profile/complete.ts';
import {loadProfile} from '../profile/profile.ts';
import {run} from '../run.ts';
import {folders, renderTree} from './tree.ts';

const golden = join(packageFolder, 'builder/render/golden');
const workstation = {mirror: 'http://mirror.example/debian', securityMirror: undefined, sshKeys: []};

/** The files of debian-installer's initramfs, of a shipped profile changed in what a test is about. */
async function render(
	file: string,
	change: (fields: {identity: object}) => void = () => {},
): Promise<Map<string, string>> {
	const profile = completeProfile(await loadProfile(join(golden, file)), workstation);
	if (Array.isArray(profile)) throw new Error(JSON.stringify(profile));
	change(profile.fields);
	const files = [...(await renderTree(profile))].filter(([path]) => path.startsWith(folders.installer));
	return new Map(files.map(([path, {content}]) => [path.slice(folders.installer.length), content]));
}

const readPreseed = async (...given: Parameters<typeof render>) => (await render(...given)).get('preseed.cfg') ?? '';

test('debconf takes the preseed of every shipped profile', async t => {
	for (const file of readdirSync(golden).filter(name => name.endsWith('.yaml')))
		await withFolder(tmpdir(), async folder => {
			const env = {DEBCONF_DB_REPLACE: `File{${join(folder, 'db')}}`}; // not this workstation's
			const said: string[] = []; // of what it does not take it only warns
			const onLine = (line: string) => said.push(line);
			await run(['debconf-set-selections', '--checkonly'], {input: await readPreseed(file), env, onLine});
			t.deepEqual(said, []);
		});
});

test("every answer is one of debian-installer's, once", async t => {
	const lines = (await readPreseed('node.yaml')).split('\n').filter(line => line !== '' && !line.startsWith('#'));
	const keys = lines.map(line => /^d-i (\S+) (string|boolean|select|multiselect|note|password)( |$)/.exec(line)?.[1]);
	t.false(keys.includes(undefined));
	t.is(new Set(keys).size, keys.length);
});

test('what a profile says cannot become an answer of its own', async t => {
	const evil = 'Europe/Berlin\nd-i partman-auto/disk string /dev/sda';
	await t.throwsAsync(
		render('node.yaml', fields => Object.assign(fields.identity, {timezone: evil})),
		{message: /preseed\.cfg.*a value with a line break/},
	);
});

test('the disk is left to bringup, and nothing reaches a network', async t => {
	const preseed = await readPreseed('node.yaml');
	t.notRegex(preseed, /^d-i partman-auto\/(disk|method) |\/dev\//m);
	t.regex(preseed, /^d-i partman\/early_command string \/usr\/lib\/bringup\/choose$/m);
	t.regex(preseed, /^d-i netcfg\/enable boolean false$/m);
	t.notRegex(preseed, /mirror\.example/);
});

test('the packages of the phases are asked for, and not those by which only an image boots', async t => {
	const line = /^d-i pkgsel\/include string (.*)$/m.exec(await readPreseed('node.yaml'))?.[1]?.split(' ') ?? [];
	for (const name of ['nodejs', 'podman', 'openssh-server', 'grub-efi-amd64-signed', 'shim-signed'])
		t.true(line.includes(name), name);
	for (const name of ['live-boot', 'grub-pc-bin']) t.false(line.includes(name), name);
});

test('the shell takes the scripts of the installer', async t => {
	const scripts = [...(await render('node.yaml'))].filter(([path]) => /lib\//.test(path));
	t.is(scripts.length, 9);
	for (const [path, content] of scripts) {
		await run(['sh', '-n'], {input: content});
		t.true(content.startsWith('#!/bin/sh\n'), path);
	}
});
