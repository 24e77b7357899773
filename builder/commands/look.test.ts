import {readdir, readFile, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {say} from '../bringup.test.say.ts';
import {withFolder} from '../folder.ts';
import {packageFolder} from '../paths.ts';

/** Runs bringup for somebody who has nothing. */
const bringup = (home: string, ...args: string[]) => say(args, {HOME: home, SSH_AUTH_SOCK: ''});

/** Gives a profile's file, in an empty home, with the mirror that its user's workstation would have. */
const withProfile = (text: string, use: (path: string, home: string) => Promise<void>) =>
	withFolder(tmpdir(), async home => {
		const path = join(home, 'p.yaml');
		await writeFile(path, `schema: 1\ndebian: {mirror: http://mirror.example/debian}\n${text}`);
		await use(path, home);
	});

const shipped = (await readdir(join(packageFolder, 'profiles'))).filter(name => name.endsWith('.yaml'));
const shippedPath = (name: string) => join(packageFolder, 'profiles', name);

for (const name of shipped)
	test(`what ${name} would do is shown to who has neither a key nor its disks`, t =>
		withProfile(`extends: ${shippedPath(name)}\n`, async (path, home) => {
			const {code, text} = await bringup(home, 'plan', '--profile', path);
			t.is(code, 0, text);
			t.regex(text, /^install\n[\s\S]*^provision\n/m);
		}));

const small = `install: {disk: {minSize: 2T, model: "*SSD 99*"}}
identity: {hostname: a, timezone: Europe/Berlin, users: [{name: admin, sshKeys: auto, password: {secret: {env: NO_SUCH_SECRET}}}]}
network: {management: lan, links: {lan: {mac: "02:00:5e:10:00:01", addresses: dhcp}, wan: {mac: "02:00:5e:10:00:02"}}}
kubernetes: {role: server, cluster: home, link: lan, binary: {asset: {file: no-such-k3s}}}
`;

test('a profile is looked at without the values of its secrets and the files of its assets; a build needs them', t =>
	withProfile(small, async (path, home) => {
		for (const words of [['check', '--offline'], ['plan'], ['render']]) {
			const {code, text} = await bringup(home, ...words, '--profile', path);
			t.is(code, 0, text);
		}
		const {code, text} = await bringup(home, 'build-iso', '--profile', path);
		t.is(code, 2);
		t.regex(text, /NO_SUCH_SECRET is not there/);
		t.regex(text, /there is no file .*no-such-k3s/);
		t.deepEqual(
			(await readdir(home)).filter(name => !name.startsWith('.')),
			['p.yaml'],
		);
	}));

test('an example is incomplete, place by place, and is not built', async t => {
	for (const [name, fields] of [
		[
			'nas.yaml',
			['install.disk.serial', 'storage.disks.left.serial', 'storage.disks.right.serial', 'storage.disks.fast.serial'],
		],
		[
			'homelab.yaml',
			[
				'virtualization.domains.control-1.disks[0].from.asset.url',
				'virtualization.domains.control-1.disks[0].from.asset.sha256',
			],
		],
	] as const)
		await withProfile(`extends: ${shippedPath(name)}\n`, async (path, home) => {
			for (const words of [
				['check', '--offline'],
				['build-iso', '--out', join(home, 'a.iso')],
			]) {
				const {code, text} = await bringup(home, ...words, '--profile', path);
				t.is(code, 3, text);
				for (const field of fields) t.true(text.includes(`incomplete: ${field}: `), `${field}\n${text}`);
			}
			t.deepEqual(
				(await readdir(home)).filter(file => !file.startsWith('.')),
				['p.yaml'],
			);
		});
	const plain = await readFile(shippedPath('node.yaml'), 'utf8');
	t.notRegex(plain, /CHANGE-ME|\.example/);
});
