import {mkdir, readFile, rm, writeFile} from 'node:fs/promises';
import {join, resolve} from 'node:path';
import {gunzipSync} from 'node:zlib';
import test from 'ava';
import {run} from '../builder/run.ts';
import {findNamed} from './roads.ts';
import {buildIso, folder} from './vm.ts';

const own = resolve(folder, 'installer-medium');
let medium = '';

test.before("the medium of Debian's own installer, unpacked", async t => {
	t.timeout(20 * 60_000);
	const {iso} = await buildIso('ovmf-tests/profiles/installer.yaml');
	await run(['rm', '--recursive', '--force', own]);
	await mkdir(own, {recursive: true});
	await run(['xorriso', '-osirrox', 'on', '-indev', iso, '-extract', '/', join(own, 'medium')]);
	await run(['chmod', '--recursive', 'u+w', own]);
	medium = join(own, 'medium');
	const records = await run(['xorriso', '-indev', iso, '-report_el_torito', 'plain']);
	for (const platform of ['BIOS', 'UEFI']) t.regex(records, new RegExp(`El Torito boot img :.*${platform}`));
});

test.after.always('the unpacked medium goes', () => rm(own, {recursive: true, force: true}));

test("the medium's sums are right, and nothing on it is without one", async t => {
	await run(['md5sum', '--check', '--strict', '--quiet', 'md5sum.txt'], {cwd: medium});
	const listed = (await readFile(join(medium, 'md5sum.txt'), 'utf8')).split('\n').map(line => line.slice(34));
	const there = (await run(['find', '.', '-type', 'f'], {cwd: medium})).split('\n').filter(Boolean);
	// xorriso writes into the one, makes the other, and a list has no sum of itself.
	const without = ['./boot/grub/bios.img', './boot.catalog', './boot/grub/boot.cat', './md5sum.txt'];
	t.deepEqual(
		there.filter(path => !listed.includes(path) && !without.includes(path)),
		[],
	);
});

test('its packages are all that the machine needs, by apt and mmdebstrap', async t => {
	t.timeout(5 * 60_000);
	const [pool = ''] = (await run(['find', medium, '-maxdepth', '1', '-name', 'installer-*'])).split('\n');
	const preseed = await readInitramfs();
	const wanted = /^d-i pkgsel\/include string (.*)$/m.exec(preseed.text)?.[1]?.trim().split(' ') ?? [];
	t.true(wanted.length > 20);
	for (const loader of ['grub-efi-amd64,shim-signed', 'grub-pc'])
		await run([
			...(['mmdebstrap', '--simulate', '--variant=minbase', '--format=null'] as const),
			`--include=${[...wanted, 'linux-image-amd64', 'busybox', 'zstd', loader].join(',')}`,
			...['trixie', '/dev/null', `deb [trusted=yes] copy://${pool} trixie main`],
		]);
	const udebs = await readFile(join(pool, 'dists/trixie/main/debian-installer/binary-amd64/Packages'), 'utf8');
	t.regex(udebs, /^Package: partman-auto$/m);
	t.true(udebs.endsWith('\n\n'));
});

/** What follows one archive after the other in an initramfs; each ends with a name of its own (cpio, newc). */
function splitArchives(data: Buffer): Buffer[] {
	const archives: Buffer[] = [];
	for (let start = 0; ; ) {
		start = data.indexOf('070701', start);
		const end = data.indexOf('TRAILER!!!', start);
		if (start < 0 || end < 0) return archives;
		archives.push(data.subarray(start, end + 512));
		start = end;
	}
}

async function readInitramfs(): Promise<{text: string; archives: Buffer[]}> {
	const packed = await readFile(join(medium, 'install/initrd.img'));
	const parts: Buffer[] = [];
	for (let at = 0; at < packed.length; ) {
		// biome-ignore lint/suspicious/noExplicitAny: what `info` gives is not in the types of Node.js
		const {buffer, engine} = gunzipSync(packed.subarray(at), {info: true} as any) as any;
		parts.push(buffer);
		at += engine.bytesWritten;
		while (packed[at] === 0) at++;
	}
	const data = Buffer.concat(parts);
	const at = data.lastIndexOf('# Rendered by bringup, for debian-installer');
	return {text: data.subarray(at, at + 20_000).toString(), archives: splitArchives(data)};
}

test('the initramfs has the preseed, what finds the medium, and a Node.js that runs the program', async t => {
	const {archives} = await readInitramfs();
	const root = join(own, 'initramfs');
	await mkdir(root);
	for (const [index, archive] of archives.entries()) {
		const file = join(own, `${index}.cpio`);
		await writeFile(file, archive);
		const options = ['--extract', '--unconditional', '--make-directories', '--quiet', '--directory', root];
		// What follows a pattern is one too; an ordinary user makes no devices.
		await run(['cpio', ...options, '--nonmatching', 'dev/*'], {inputFile: file});
	}
	t.regex(await readFile(join(root, 'preseed.cfg'), 'utf8'), /^d-i partman\/early_command string/m);
	const modules = await run(['find', join(root, 'usr/lib/modules'), '-name', 'isofs.ko*']);
	t.regex(modules, /6\.12\.94\+deb13-amd64/);
	t.regex(await readFile(join(root, 'usr/lib/partman/finish.d/90bringup'), 'utf8'), /bringup claim/);
	t.regex(await readFile(join(root, 'var/lib/dpkg/status'), 'utf8'), /^Package: isofs-modules-6\.12\.94/m);
	const small = join(root, 'usr/lib/bringup/root');
	const inside = async (...command: string[]) =>
		run(['unshare', '--map-root-user', 'chroot', small, ...command], {env: {NODE_EXTRA_CA_CERTS: ''}});
	t.regex(await inside('/usr/bin/node', '/usr/lib/bringup/firstboot.cjs', '--help'), /usage: bringup/);
	for (const program of ['lsblk', 'wipefs', 'sfdisk', 'dd', 'tar', 'grep', 'udevadm'])
		t.regex(await inside(program, '--version'), /\d/, program);
	const machine = JSON.parse(await readFile(join(small, 'etc/bringup/machine.json'), 'utf8'));
	t.is(machine.install.method, 'debian-installer');
});

test('what the two roads leave different is read out of its page, and nothing else of that page', async t => {
	const named = findNamed(await readFile('docs/installer.md', 'utf8'));
	for (const name of ['grub-pc-bin', '/etc/fstab', '/media/cdrom0']) t.true(named.has(name), name);
	for (const name of ['build-iso', 'lsblk', 'what']) t.false(named.has(name), name);
});
