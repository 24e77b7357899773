import {chmod, copyFile, mkdir, readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import type {CompleteProfile} from '../../profile/complete.ts';
import {type FileTree, folders, writeTree} from '../../render/tree.ts';
import {checkPrograms, run, UserError} from '../../run.ts';
import {tellLeft} from '../assets.ts';
import {type BuildOptions, type Medium, makeOnce, writeMedium} from '../build.ts';
import {digestOf, discardEntry} from '../cache.ts';
import type {Contents} from '../iso.ts';
import {packFiles} from '../layer.ts';
import {readTools} from '../maker.ts';
import {logPath, withOutput} from '../output.ts';
import type {PartsOptions} from '../parts.ts';
import {smallRoot} from './environment.ts';
import {appendFiles} from './initramfs.ts';
import {gatherInstaller, type InstallerParts} from './parts.ts';

/** The programs that building a medium of debian-installer runs. */
export const installerPrograms = [
	...[
		'apt-get',
		'apt-cache',
		'apt-config',
		'dpkg-query',
		'flock',
		'setpriv',
		'dpkg-deb',
		'mksquashfs',
		'tar',
		'cpio',
		'find',
		'touch',
	],
	...['grub-mkimage', 'mformat', 'mmd', 'mcopy', 'xorriso', 'openssl'],
];

/** The initramfs of a profile: what all share, and after it preseed, scripts, and all that is the profile's alone. */
export async function writeInitramfs(
	{tree, top, assets, environment, epoch}: InstallerParts,
	to: string,
	work: string,
): Promise<void> {
	const merged = (await readFile(join(environment.folder, 'usr-merged'), 'utf8')).trim() === 'yes';
	const files = new Map<string, {content: string; mode: number}>();
	for (const [path, file] of tree) {
		if (!path.startsWith(folders.installer)) continue;
		const at = path.slice(folders.installer.length);
		files.set(merged ? at.replace(/^lib\//, 'usr/lib/') : at, file);
	}
	const plain = (content: string) => ({content, mode: 0o644});
	const hook = tree.get(`${folders.hooks}9000-bringup.hook.chroot`)?.content ?? '';
	files.set('usr/lib/bringup/9000-bringup.hook.chroot', {content: hook, mode: 0o755});
	files.set('usr/lib/bringup/build-id', plain(`${top.buildId}\n`));
	files.set(`${smallRoot}/usr/lib/bringup/assets.txt`, plain([...assets.keys()].map(sha256 => `${sha256}\n`).join('')));
	for (const path of ['etc/bringup/machine.json', 'etc/bringup/build-id', 'usr/lib/bringup/firstboot.cjs'])
		files.set(`${smallRoot}/${path}`, top.files.get(path) ?? plain(''));
	const folder = join(work, 'initramfs');
	await mkdir(folder);
	await writeTree(files, folder);
	await packFiles(top.files, join(folder, smallRoot, 'usr/lib/bringup/profile.tar'), epoch);
	await copyFile(join(environment.folder, 'initrd.img'), to);
	await appendFiles(to, folder, epoch);
	await chmod(to, 0o600);
}

/** The folder of the medium that its web server gives. */
export const poolFolder = ({top}: InstallerParts) => `installer-${top.buildId}`;

/** The files of the pool and the assets, by the path that they have on the medium. */
export async function listPoolFiles(parts: InstallerParts, work: string): Promise<Map<string, string>> {
	const {pool, assets} = parts;
	const folder = poolFolder(parts);
	const contents = new Map<string, string>();
	for (const [path, data] of pool.lists) {
		const file = join(work, path.replaceAll('/', '_'));
		await writeFile(file, data);
		contents.set(`${folder}/${path}`, file);
	}
	for (const [path, file] of pool.files) contents.set(`${folder}/${path}`, file);
	for (const [sha256, file] of assets) contents.set(`${folder}/assets/${sha256}`, file);
	return contents;
}

async function layOut(parts: InstallerParts, work: string): Promise<Contents> {
	const {environment, tree, top} = parts;
	const contents = await listPoolFiles(parts, work);
	const put = async (path: string, content: string) => {
		const file = join(work, path.replaceAll('/', '_'));
		await writeFile(file, content);
		contents.set(path, file);
	};
	for (const [path, {content}] of tree)
		if (path.startsWith(folders.binary)) await put(path.slice(folders.binary.length), content);
	await put('boot/grub/build.cfg', `set build=${top.buildId}\nset folder=/install\nset layers=\n`);
	contents.set('boot/grub/bios.img', join(environment.folder, 'bios.img'));
	contents.set('install/vmlinuz', join(environment.folder, 'vmlinuz'));
	const initramfs = join(work, 'initrd.img');
	await writeInitramfs(parts, initramfs, work);
	contents.set('install/initrd.img', initramfs);
	const sums = await run(['md5sum', '--', ...contents.values()]);
	const paths = [...contents.keys()].filter(path => path !== 'boot/grub/bios.img'); // it gets its place written into it
	const digests = new Map(sums.split('\n').map(line => [line.slice(34), line.slice(0, 32)]));
	await put('md5sum.txt', paths.map(path => `${digests.get(contents.get(path) ?? '')}  ./${path}\n`).join(''));
	return contents;
}

/** What an artefact of debian-installer was made from. */
export async function describeInstaller(
	{profile, index, lock, packages, tree, top, assets, left, epoch}: InstallerParts,
	{progress}: Pick<PartsOptions, 'progress'>,
	artefact: {artefact: string; sha256: string; size: number},
) {
	return {
		schema: 1 as const,
		...artefact,
		seconds: progress.seconds,
		profile: profile.name,
		buildId: top.buildId,
		release: profile.fields.debian.release,
		mode: 'debian-installer',
		epoch,
		inputs: {
			archive: index.digest,
			installer: digestOf(lock),
			...Object.fromEntries([...tree].map(([path, {content}]) => [path, digestOf(content)])),
			bundle: digestOf(top.files.get('usr/lib/bringup/firstboot.cjs')?.content),
		},
		assets: {embedded: [...assets.keys()], leftToMachine: left.map(({url}) => url)},
		packages: packages.map(({name, version, architecture, sha256}) => ({name, version, architecture, sha256})),
		tools: await readTools(),
		sizes: {},
	};
}

/** Throws a UserError when a byte of what the cache has is not what it was. */
export async function checkEnvironment({environment}: InstallerParts): Promise<void> {
	if (await environment.verify()) return;
	await discardEntry(environment.folder);
	throw new UserError('the installer in the cache was damaged, and is removed; run this again');
}

/** Makes the ISO of Debian's own installer for a profile, which needs no network; does nothing when it stands there already. */
export async function buildInstallerIso(
	profile: CompleteProfile,
	tree: FileTree,
	options: BuildOptions,
): Promise<{buildId: string; made: boolean}> {
	const {iso, searchPath} = options;
	await checkPrograms(installerPrograms, searchPath);
	return withOutput(iso, options, () => makeInstallerIso(profile, tree, options));
}

/** The same, while nobody else makes it. */
async function makeInstallerIso(
	profile: CompleteProfile,
	tree: FileTree,
	options: BuildOptions,
): Promise<{buildId: string; made: boolean}> {
	const log = logPath(options.iso);
	const parts = await gatherInstaller(profile, tree, options);
	const medium: Medium = {
		base: parts.environment.folder,
		firmware: profile.fields.machine.firmware,
		epoch: parts.epoch,
		layOut: work => layOut(parts, work),
		verify: () => checkEnvironment(parts),
		describe: artefact => describeInstaller(parts, options, artefact),
	};
	return makeOnce(options, parts.top.buildId, async () => {
		tellLeft(parts, options.progress.say);
		await writeMedium(medium, log, options);
	});
}
