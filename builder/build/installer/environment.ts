import {chmod, copyFile, mkdir, readFile, rm, symlink, writeFile} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {withFolder} from '../../folder.ts';
import {pipe, run} from '../../run.ts';
import {makeBootFiles} from '../boot-files.ts';
import {findWorkFolder} from '../cache.ts';
import type {Package} from '../packages.ts';
import {poolPath, readField} from '../pool-files.ts';
import {appendFiles} from './initramfs.ts';
import {extractNetboot, type InstallerLock} from './lock.ts';

/** The packages that the installer's initramfs and the medium's boot files are taken from, beside a base system's. */
export const environmentPackages = [
	...['nodejs', 'util-linux', 'fdisk', 'coreutils', 'iproute2', 'grep', 'udev', 'mount', 'tar', 'mtools'],
	...['shim-signed', 'grub-efi-amd64-signed', 'grub-pc-bin'],
];

/** What bringup runs in debian-installer, which has none of it. */
const programs = [
	...['bin/node', 'bin/lsblk', 'sbin/wipefs', 'sbin/sfdisk', 'bin/dd', 'bin/cp', 'bin/rm', 'bin/ls'],
	...['bin/mkdir', 'bin/sync', 'sbin/chroot', 'bin/ip', 'bin/grep', 'bin/udevadm', 'bin/tar', 'bin/mcopy'],
];

const libraries = 'usr/lib/x86_64-linux-gnu';
const loader = `${libraries}/ld-linux-x86-64.so.2`;

/** Bytes that the packages take, unpacked. */
const workSpace = 2 ** 30;

/** Unpacks packages into a root file system that is never run: as a merged /usr, which Debian 12's packages do not say. */
async function unpackPackages(packages: readonly Package[], cache: string, root: string): Promise<void> {
	for (const name of ['bin', 'sbin', 'lib', 'lib64']) {
		await mkdir(join(root, 'usr', name), {recursive: true});
		await symlink(`usr/${name}`, join(root, name));
	}
	const options = [
		'--extract',
		'--keep-directory-symlink',
		'--no-same-owner',
		...['doc', 'man', 'locale', 'zoneinfo'].flatMap(name => ['--exclude', `./usr/share/${name}/*`]),
	];
	for (const {file} of packages)
		await pipe(['dpkg-deb', '--fsys-tarfile', join(cache, 'packages', file)], ['tar', ...options, '--directory', root]);
}

/** The libraries that a program needs, by the dynamic loader's own word; it runs nothing. */
async function listLibraries(root: string, program: string): Promise<string[]> {
	const paths = [libraries, `${libraries}/systemd`].map(path => join(root, path)).join(':');
	const listing = await run([
		join(root, loader),
		'--inhibit-cache',
		'--library-path',
		paths,
		'--list',
		join(root, program),
	]);
	const lost = listing.split('\n').find(line => line.includes('not found'));
	if (lost !== undefined) throw new Error(`${program} lacks a library:${lost}`);
	return [...listing.matchAll(/=> (\/\S+) \(/g)].map(([, path = '']) => path.slice(root.length + 1));
}

/** Modules of Node.js that Debian keeps outside of its library, which names them by path. */
async function listNodeModules(root: string, needed: Iterable<string>): Promise<string[]> {
	const library = [...needed].find(path => /\/libnode\.so/.test(path)) ?? 'usr/bin/node';
	const text = await readFile(join(root, library), 'latin1');
	return [...text.matchAll(/\/(usr\/share\/nodejs\/[\w./-]+)/g)].map(([, path = '']) => path);
}

/** A root file system of a few programs with their libraries, at the place that the initramfs gives it. */
async function makeSmallRoot(root: string, small: string): Promise<void> {
	const paths = programs.map(program => `usr/${program}`);
	const needed = new Set([...paths, loader]);
	for (const path of paths) for (const library of await listLibraries(root, path)) needed.add(library);
	for (const path of await listNodeModules(root, needed)) needed.add(path);
	for (const path of needed) {
		await mkdir(dirname(join(small, path)), {recursive: true});
		await copyFile(join(root, path), join(small, path));
		await chmod(join(small, path), 0o755);
	}
	await mkdir(join(small, 'usr/lib64'), {recursive: true});
	await symlink(`../../${loader}`, join(small, 'usr/lib64/ld-linux-x86-64.so.2'));
	for (const name of ['bin', 'sbin', 'lib', 'lib64']) await symlink(`usr/${name}`, join(small, name));
	await mkdir(join(small, 'tmp'));
}

/**
 * Every question that this installer knows: the templates of the initramfs and of the udebs, and what their scripts ask
 * for by name, which some do without a template.
 */
async function listQuestions(work: string, lock: InstallerLock, cache: string): Promise<string[]> {
	const folder = join(work, 'initrd/udebs');
	for (const stanza of lock.udebs) {
		const own = join(folder, readField(stanza, 'Package'));
		await mkdir(own, {recursive: true});
		await run(['dpkg-deb', '--raw-extract', poolPath(cache, readField(stanza, 'Filename')), own]);
	}
	const pattern =
		'(^Template: |db_(get|set|fget|fset|input [a-z$_]+|register [^ ]+) "?|preseed_command )[a-z0-9_-]+(/[A-Za-z0-9_.-]+)+';
	const found = await run([
		...(['grep', '--recursive', '--no-filename', '--only-matching', '--binary-files=without-match'] as const),
		...['--extended-regexp', pattern, join(work, 'initrd')],
	]);
	return [...new Set(found.split('\n').map(line => line.replace(/^.*[ "]/, '')))].filter(Boolean).sort();
}

/** Unpacks udebs as udpkg would, and gives their stanzas for its status. */
async function unpackUdebs(stanzas: readonly string[], cache: string, folder: string): Promise<string> {
	let status = '';
	for (const stanza of stanzas) {
		const deb = poolPath(cache, readField(stanza, 'Filename'));
		await pipe(['dpkg-deb', '--fsys-tarfile', deb], ['tar', '--extract', '--no-same-owner', '--directory', folder]);
		status += `${(await run(['dpkg-deb', '--field', deb])).trim()}\nStatus: install ok installed\n\n`;
	}
	return status;
}

/** In an initramfs with a merged /usr, lib is a link that a folder of that name would remove. */
async function mergeUsr(folder: string): Promise<void> {
	for (const name of ['bin', 'sbin', 'lib', 'lib64']) {
		const found = await run(['find', folder, '-maxdepth', '1', '-name', name, '-type', 'd']);
		if (found === '') continue;
		await mkdir(join(folder, 'usr'), {recursive: true});
		await run([
			'cp',
			'--recursive',
			'--no-dereference',
			'--preserve=mode,links',
			join(folder, name),
			join(folder, 'usr/'),
		]);
		await rm(join(folder, name), {recursive: true});
	}
}

/** What else than its packages makes an environment what it is. */
export const environmentRecipe = ['environment', programs];

/** Where the small root file system is in the initramfs. */
export const smallRoot = 'usr/lib/bringup/root';

/**
 * Makes what all profiles share in a folder: kernel, the initramfs with the modules that find the medium and with Node.js,
 * and the boot images.
 */
export async function makeEnvironment(
	lock: InstallerLock,
	packages: readonly Package[],
	folder: string,
	{cache, epoch, work: wanted}: {cache: string; epoch: number; work: string | undefined},
): Promise<void> {
	await withFolder(await findWorkFolder(workSpace, wanted), async work => {
		const {status, mergedUsr} = await extractNetboot(lock.release, poolPath(cache, lock.netboot.file), work);
		const root = join(work, 'root');
		await unpackPackages(packages, cache, root);
		await makeBootFiles(root, folder, epoch);
		const files = join(work, 'files');
		await mkdir(files);
		const early = lock.udebs.filter(stanza => lock.early.includes(readField(stanza, 'Package')));
		const added = await unpackUdebs(early, cache, files);
		await mkdir(join(files, 'var/lib/dpkg'), {recursive: true});
		await writeFile(join(files, 'var/lib/dpkg/status'), `${status.trimEnd()}\n\n${added}`);
		if (mergedUsr) await mergeUsr(files);
		await makeSmallRoot(root, join(files, smallRoot));
		const initramfs = join(work, 'initrd.gz');
		await appendFiles(initramfs, files, epoch);
		await copyFile(join(work, 'linux'), join(folder, 'vmlinuz'));
		await copyFile(initramfs, join(folder, 'initrd.img'));
		await writeFile(join(folder, 'questions.txt'), (await listQuestions(work, lock, cache)).join('\n'));
		await writeFile(join(folder, 'usr-merged'), mergedUsr ? 'yes\n' : 'no\n');
	});
}
