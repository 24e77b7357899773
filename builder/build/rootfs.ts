import {copyFile, mkdir, readdir, readFile, rm, writeFile} from 'node:fs/promises';
import {basename, join} from 'node:path';
import {withFolder} from '../folder.ts';
import {type FileTree, folders} from '../render/tree.ts';
import {type Command, ProgramError, pipe, run, runLong, UserError} from '../run.ts';
import {bootSources, makeBootFiles} from './boot-files.ts';
import {digestOf, findWorkFolder} from './cache.ts';
import {packCommand} from './layer.ts';
import type {Index, IndexOptions} from './lists.ts';
import type {Package} from './packages.ts';
import {readField} from './pool-files.ts';
import {generatorFiles} from './quadlet.ts';
import {makeRepository} from './repository.ts';

/** How mmdebstrap becomes root inside the image. */
export type Mode = 'root' | 'unshare';

/** Bytes that a root file system takes while it is made: the packages, what they unpack to, what hooks add, and the squashfs. */
export function estimateSpace(packages: readonly Package[]): number {
	const packed = packages.reduce((sum, {size}) => sum + size, 0);
	const unpacked = packages.reduce((sum, {stanza}) => sum + Number(readField(stanza, 'Installed-Size') || 0) * 1024, 0);
	return Math.ceil(2.5 * packed + 1.25 * unpacked) + 2 ** 28;
}

/** Without root where this workstation lets an ordinary user have a user namespace. Throws a UserError where it does not. */
export async function chooseMode(): Promise<Mode> {
	if (process.getuid?.() === 0) return 'root';
	try {
		await run(['mmdebstrap', '--unshare-helper', 'true']);
		return 'unshare';
	} catch (error) {
		const remedy = [
			'this workstation gives an ordinary user no user namespace, and building without root needs one.',
			'Allow it: sysctl kernel.unprivileged_userns_clone=1, on Ubuntu also kernel.apparmor_restrict_unprivileged_userns=0;',
			'the user needs a range in /etc/subuid and /etc/subgid. Or build with sudo.',
			...(error instanceof ProgramError ? [`mmdebstrap says: ${error.output.trim()}`] : []),
		];
		throw new UserError(remedy.join('\n'), {cause: error});
	}
}

/**
 * As root mmdebstrap mounts in the namespace that it is started in, and does not end when told to. So it gets namespaces
 * of its own: with their first process everything in them is gone. An ordinary user's has its own anyway.
 */
const isolation = ['unshare', '--mount', '--pid', '--fork', '--mount-proc', '--kill-child=KILL'] as const;

function listHooks(tree: FileTree): [name: string, content: string][] {
	return [...tree]
		.filter(([path]) => path.startsWith(folders.hooks))
		.map(([path, {content}]) => [path.slice(folders.hooks.length), content]);
}

/** What makes two root file systems the same: the release, every package by digest, the hooks, and `made`: when, and by which tools. Not the profile's name. */
export function keyRootfs(
	index: Index,
	names: readonly string[],
	packages: readonly Package[],
	tree: FileTree,
	made: unknown,
): string {
	const contents = packages.map(({file, sha256}) => `${file} ${sha256}`).sort();
	return digestOf(['rootfs', index.debian.release, names, contents, listHooks(tree), made]).slice(0, 32);
}

/** zstd at level 3 packs in seconds what level 15 packs in two minutes, for a tenth more size. */
const packOptions = ['-Xcompression-level', '3'];

interface RootfsOptions extends IndexOptions {
	/** The packages that are asked for by name. */
	names: readonly string[];
	mode: Mode;
	/** Where it is put together, where that was said. */
	work: string | undefined;
	/** Seconds since 1970: the date of every file that is newer. */
	epoch: number;
	log: string;
	onProgress: (text: string) => void;
}

function debootstrapCommand(
	index: Index,
	names: readonly string[],
	hooks: readonly string[],
	work: string,
	mode: Mode,
): Command {
	const upload = hooks.flatMap(name => [
		`--customize-hook=upload ${join(work, 'hooks', name)} /root/${name}`,
		`--customize-hook=chroot "$1" /bin/sh /root/${name}`,
		`--customize-hook=rm "$1/root/${name}"`,
	]);
	const command: Command = [
		'mmdebstrap',
		`--mode=${mode}`,
		'--variant=minbase',
		'--architectures=amd64',
		'--format=tar',
		`--include=${names.join(',')}`, // only what is asked for: what it depends on stays marked automatic
		'--aptopt=Acquire::Languages "none"',
		...upload,
		// The sources of the installed machine are in the profile's own layer.
		'--customize-hook=rm -f "$1"/etc/apt/sources.list "$1"/etc/apt/sources.list.d/* "$1"/etc/apt/apt.conf.d/99mmdebstrap "$1"/etc/hostname "$1"/etc/resolv.conf',
		'--customize-hook=ln -s ../run/systemd/resolve/stub-resolv.conf "$1"/etc/resolv.conf',
		index.debian.release,
		'-',
		`deb [trusted=yes] copy://${join(work, 'repository')} ./`,
	];
	return mode === 'root' ? [...isolation, ...command] : command;
}

/** The image must hold what was resolved and nothing else, or the manifest would lie. */
async function checkInstalled(status: string, packages: readonly Package[]): Promise<void> {
	const stanzas = (await readFile(status, 'utf8'))
		.split('\n\n')
		.filter(stanza => /^Status: .* installed$/m.test(stanza));
	const installed = stanzas.map(stanza =>
		['Package', 'Version'].map(name => new RegExp(`^${name}: (.*)$`, 'm').exec(stanza)?.[1]).join(' '),
	);
	const resolved = packages.map(({name, version}) => `${name} ${version}`);
	const difference = [
		...resolved.filter(item => !installed.includes(item)),
		...installed.filter(item => !resolved.includes(item)),
	];
	if (difference.length > 0)
		throw new Error(`the image does not hold the packages that were resolved: ${difference.join(', ')}`);
}

async function extractBootFiles(
	squashfs: string,
	packages: readonly Package[],
	folder: string,
	work: string,
	epoch: number,
): Promise<void> {
	const root = join(work, 'boot');
	const generator = packages.some(({name}) => name === 'podman') ? generatorFiles : [];
	const wanted = [...bootSources, 'boot', 'var/lib/dpkg/status', ...generator];
	await run(['unsquashfs', '-no-progress', '-no-xattrs', '-dest', root, squashfs, ...wanted]);
	await checkInstalled(join(root, 'var/lib/dpkg/status'), packages);
	const inBoot = await readdir(join(root, 'boot'));
	for (const [name, pattern] of [
		['vmlinuz', /^vmlinuz-/],
		['initrd.img', /^initrd\.img-/],
	] as const) {
		const found = inBoot.filter(file => pattern.test(file));
		if (found.length !== 1)
			throw new Error(`expected one ${name} in /boot of the image, found: ${found.join(', ') || 'none'}`);
		await copyFile(join(root, 'boot', found[0] as string), join(folder, name));
	}
	await makeBootFiles(root, folder, epoch);
	for (const path of generator) await copyFile(join(root, path), join(folder, basename(path)));
}

/**
 * Makes the base of the medium in a folder: the squashfs of the rendered tree's packages and hooks, kernel and initramfs,
 * the boot images. Throws a ProgramError of mmdebstrap or mksquashfs.
 */
export async function buildRootfs(
	index: Index,
	packages: readonly Package[],
	tree: FileTree,
	folder: string,
	options: RootfsOptions,
): Promise<void> {
	await withFolder(await findWorkFolder(estimateSpace(packages), options.work), async work => {
		await run(['chmod', '755', work]); // the user namespace's root is somebody else
		await makeRepository(index, packages, join(work, 'repository'), options);
		await mkdir(join(work, 'hooks'));
		const hooks = listHooks(tree);
		for (const [name, content] of hooks) await writeFile(join(work, 'hooks', name), content);
		await mkdir(join(work, 'tmp'), {mode: 0o1777});
		await run(['chmod', '1777', join(work, 'tmp')]);
		const squashfs = join(work, 'base.squashfs');
		const env = {TMPDIR: join(work, 'tmp'), SOURCE_DATE_EPOCH: String(options.epoch), INITRD: 'No'};
		const pack = packCommand(squashfs, packOptions);
		const make = debootstrapCommand(
			index,
			options.names,
			hooks.map(([name]) => name),
			work,
			options.mode,
		);
		const onLine = (line: string) => options.onProgress(line.replace(/^I: /, ''));
		await pipe(make, pack, {env, log: options.log, onLine, signal: options.signal});
		await rm(join(work, 'repository'), {recursive: true});
		await extractBootFiles(squashfs, packages, folder, work, options.epoch);
		await runLong(['cp', '--reflink=auto', squashfs, join(folder, '10-base.squashfs')]);
	});
}
