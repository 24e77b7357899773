import {createReadStream, createWriteStream} from 'node:fs';
import {lstat, mkdir, readFile, rm, stat} from 'node:fs/promises';
import {basename, join} from 'node:path';
import {pipeline} from 'node:stream/promises';
import {createGunzip} from 'node:zlib';
import * as z from 'zod';
import {pipe, run, UserError} from '../../run.ts';
import {digestFile} from '../cache.ts';
import {type Index, type IndexOptions, openIndex, openInstallerIndex} from '../lists.ts';
import {readNewest, readStanzas} from '../packages.ts';
import {fetchPoolFiles, poolPath, readField} from '../pool-files.ts';
import {chooseUdebs, type Present, readPresent} from './udebs.ts';

const file = z.string().regex(/^pool\/(?!.*\.\.\/)[\w./+~-]+$/);
const netboot = z.strictObject({file, sha256: z.string().regex(/^[0-9a-f]{64}$/)});
const stanza = z
	.string()
	.regex(/^Package: [a-z0-9][a-z0-9.+-]+$/m)
	.refine(text => {
		const given = {file: readField(text, 'Filename'), sha256: readField(text, 'SHA256')};
		return netboot.safeParse(given).success;
	});

/** Which debian-installer: kernel and initramfs, and the udebs that fit them. */
export const lockSchema = z.strictObject({
	schema: z.literal(1),
	release: z.enum(['trixie', 'bookworm']),
	/** Debian's package of kernel and initramfs, below the mirror. */
	netboot,
	/** The stanzas of the archive's index; where it has none, of the file itself. */
	udebs: z.array(stanza),
	/** Those that the initramfs needs before it can load any. */
	early: z.array(z.string()),
});

export type InstallerLock = z.output<typeof lockSchema>;

/** Of the releases. */
export const numbers = {trixie: 13, bookworm: 12} as const;

export interface InstallerOptions extends IndexOptions {
	signal: AbortSignal;
}

/** The files of debian-installer in its package. */
const imageFolder = (release: InstallerLock['release']) =>
	`usr/lib/debian-installer/images/${numbers[release]}/amd64/text/debian-installer/amd64`;

/** Takes kernel (`linux`) and initramfs (`initrd.gz`) out of the package, and unpacks the initramfs (to `initrd`). */
export async function extractNetboot(
	release: InstallerLock['release'],
	deb: string,
	work: string,
): Promise<{status: string; mergedUsr: boolean}> {
	const names = ['linux', 'initrd.gz'].map(name => `./${imageFolder(release)}/${name}`);
	await pipe(
		['dpkg-deb', '--fsys-tarfile', deb],
		['tar', '--extract', '--transform', 's#.*/##', '--directory', work, ...names],
	);
	const cpio = join(work, 'initrd.cpio');
	await pipeline(createReadStream(join(work, 'initrd.gz')), createGunzip(), createWriteStream(cpio));
	const options = ['--extract', '--quiet', '--make-directories', '--directory', join(work, 'initrd')];
	await mkdir(join(work, 'initrd'));
	await run(['cpio', ...options, '--nonmatching', 'dev/*'], {inputFile: cpio}); // an ordinary user makes no devices
	await rm(cpio);
	const status = await readFile(join(work, 'initrd/var/lib/dpkg/status'), 'utf8');
	return {status, mergedUsr: (await lstat(join(work, 'initrd/lib'))).isSymbolicLink()};
}

/** Names what a mirror does not have, and what to do. */
function explainMissing(release: string, missing: readonly string[], count: number): string {
	return [
		`the mirror lacks ${missing.length} of the ${count} files of this debian-installer (${release}):`,
		...missing.map(file => `  ${file}`),
		'A mirror keeps them for one point release; another may be whole: name it (debian.mirror). Or pin one that is:',
		'  bringup lock-installer --profile … --netboot VERSION --udeb NAME=VERSION   and in the profile debian.installerLock',
	].join('\n');
}

async function readKernel(release: InstallerLock['release'], deb: string, work: string): Promise<Present> {
	return readPresent((await extractNetboot(release, deb, work)).status);
}

/** A file's place with another version, and what the mirror has there. */
async function pinOther(stanza: string, version: string, index: Index, options: InstallerOptions): Promise<string> {
	const [name, old] = [readField(stanza, 'Package'), readField(stanza, 'Version')];
	const plain = (text: string) => text.replace(/^\d+:/, '');
	const file = readField(stanza, 'Filename').replace(`_${plain(old)}_`, `_${plain(version)}_`);
	const failed = await fetchPoolFiles(index, [{file}], options);
	if (failed.length > 0) throw new UserError(`the mirror has no ${file}; check the version of ${name}`);
	const path = poolPath(options.cache, file);
	const control = (await run(['dpkg-deb', '--field', path])).trim();
	const [sha256, {size}] = [await digestFile(path), await stat(path)];
	options.say(`${basename(file)} is not in Debian's signed index: pinned as the mirror gave it, SHA-256 ${sha256}`);
	return `${control}\nFilename: ${file}\nSize: ${size}\nSHA256: ${sha256}`;
}

export interface LockWishes {
	/** A version of the package of kernel and initramfs other than the newest. */
	netboot?: string | undefined;
	/** Versions of udebs that the index no longer has, by name. */
	udebs: ReadonlyMap<string, string>;
}

async function fetchNetboot(
	debian: Index['debian'],
	wishes: LockWishes,
	options: InstallerOptions,
): Promise<{index: Index; file: string; sha256: string}> {
	const index = await openIndex(debian, options);
	const newest = await readNewest(index, `debian-installer-${numbers[debian.release]}-netboot-amd64`);
	const wanted = wishes.netboot ?? readField(newest, 'Version');
	if (wanted !== readField(newest, 'Version')) {
		const stanza = await pinOther(newest, wanted, index, options);
		return {index, file: readField(stanza, 'Filename'), sha256: readField(stanza, 'SHA256')};
	}
	const [file, sha256] = [readField(newest, 'Filename'), readField(newest, 'SHA256')];
	const failed = await fetchPoolFiles(index, [{file, sha256}], options);
	if (failed.length > 0) throw new UserError(explainMissing(debian.release, [file], 1));
	return {index, file, sha256};
}

/** Chooses debian-installer's parts so that they fit each other. Throws a UserError that lists what the mirror lacks. */
export async function resolveInstaller(
	debian: Index['debian'],
	wishes: LockWishes,
	work: string,
	options: InstallerOptions,
): Promise<InstallerLock> {
	const {index, file, sha256} = await fetchNetboot(debian, wishes, options);
	const present = await readKernel(debian.release, poolPath(options.cache, file), work);
	const stanzas = await readStanzas(await openInstallerIndex(debian, options));
	const {chosen, early, unknown} = chooseUdebs(stanzas, present);
	for (const [name, version] of wishes.udebs) {
		const stanza = chosen.get(name);
		if (stanza === undefined) throw new UserError(`${name} is no udeb that this installer needs`);
		chosen.set(name, await pinOther(stanza, version, index, options));
	}
	const lock: InstallerLock = {
		schema: 1,
		release: debian.release,
		netboot: {file, sha256},
		udebs: [...chosen.values()],
		early,
	};
	const lacking = unknown.map(name => `${name} (its index has no such udeb for the kernel ${present.kernel})`);
	await fetchUdebs(index, lock, options, lacking);
	return lock;
}

const listFiles = ({udebs}: InstallerLock) =>
	udebs.map(stanza => ({file: readField(stanza, 'Filename'), sha256: readField(stanza, 'SHA256')}));

/** Downloads what the cache lacks of the udebs. Throws a UserError that lists what the mirror lacks. */
async function fetchUdebs(
	index: Index,
	lock: InstallerLock,
	options: InstallerOptions,
	lacking: readonly string[] = [],
): Promise<void> {
	const files = listFiles(lock);
	const failed = await fetchPoolFiles(index, files, options);
	const missing = [...lacking, ...failed.map(({file}) => file)];
	if (missing.length > 0) throw new UserError(explainMissing(lock.release, missing, files.length + lacking.length + 1));
}

/** Downloads what the cache lacks of an installer that is pinned. Throws a UserError that lists what the mirror lacks. */
export async function fetchInstaller(index: Index, lock: InstallerLock, options: InstallerOptions): Promise<void> {
	const {netboot, release, udebs} = lock;
	const failed = await fetchPoolFiles(index, [netboot], options);
	if (failed.length > 0) throw new UserError(explainMissing(release, [netboot.file], udebs.length + 1));
	await fetchUdebs(index, lock, options);
}
