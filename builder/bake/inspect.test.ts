import {mkdir, symlink, truncate, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {dirname, join} from 'node:path';
import test from 'ava';
import {withFolder} from '../folder.ts';
import {run} from '../run.ts';
import {findRoot, inspectSeal, readFromRoot} from './inspect.ts';

/** A disk as an install leaves it, with these files on its root. */
async function makeDisk(work: string, files: Readonly<Record<string, string>>): Promise<string> {
	const [disk, source] = [join(work, 'disk.raw'), join(work, 'source')];
	for (const [path, content] of Object.entries({'/home/x': '', '/root/x': '', '/tmp/.keep': '', ...files})) {
		await mkdir(dirname(join(source, path)), {recursive: true});
		if (!path.endsWith('/.keep')) await writeFile(join(source, path), content);
	}
	await mkdir(join(source, 'var/log'), {recursive: true});
	await symlink('../../usr/share/doc/systemd/README.logs', join(source, 'var/log/README'));
	await writeFile(disk, '');
	await truncate(disk, 64 * 2 ** 20);
	await run(['sfdisk', '--quiet', disk], {input: 'label: gpt\nsize=1MiB\ntype=linux, name=bringup-root\n'});
	const offset = (await findRoot(disk)).replace(/^.*=/, '');
	await run(['mkfs.ext4', '-q', '-d', source, '-E', `offset=${offset}`, disk, '60M']);
	return disk;
}

const inspect = (files: Readonly<Record<string, string>>) =>
	withFolder(tmpdir(), async work => inspectSeal(await findRoot(await makeDisk(work, files)), work));

test('a disk is looked into without root and without a mount', async t => {
	await t.notThrowsAsync(inspect({'/etc/machine-id': '', '/etc/ssh/sshd_config': 'x', '/var/lib/dpkg/status': 'x'}));
	await withFolder(tmpdir(), async work => {
		const root = await findRoot(await makeDisk(work, {'/var/lib/dpkg/status': 'Package: less\n'}));
		t.is(String(await readFromRoot(root, '/var/lib/dpkg/status', work)), 'Package: less\n');
	});
});

const traces: [what: string, files: Record<string, string>, message: RegExp][] = [
	['a host key', {'/etc/machine-id': '', '/etc/ssh/ssh_host_rsa_key': 'x'}, /share: \/etc\/ssh\/ssh_host_rsa_key;/],
	[
		'the key of some package',
		{'/etc/machine-id': '', '/etc/x/y.pem': 'a\n-----BEGIN EC PRIVATE KEY-----\nAAAA\n'},
		/share: \/etc\/x\/y\.pem;/,
	],
	['a log in a folder', {'/etc/machine-id': '', '/var/log/apt/term.log': 'x'}, /\/var\/log\/apt\/term\.log/],
	['a seed of randomness', {'/etc/machine-id': '', '/var/lib/systemd/random-seed': 'x'}, /random-seed/],
	['the history of a shell', {'/etc/machine-id': '', '/home/me/.bash_history': 'x'}, /\.bash_history/],
	['an identifier', {'/etc/machine-id': '0123456789abcdef0123456789abcdef\n'}, /machine-id, which is not empty/],
	['no file for it', {'/etc/hostname': 'x'}, /machine-id, which is missing/],
];
for (const [what, files, message] of traces)
	test(`an image with ${what} is not sealed`, async t => {
		await t.throwsAsync(inspect(files), {message});
	});
