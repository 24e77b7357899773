import {createHash} from 'node:crypto';
import {mkdir, readFile, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {touch} from '../folder.ts';
import {UserError} from '../run.ts';
import type {Index, IndexOptions} from './lists.ts';
import {downloadPackages, type Package} from './packages.ts';

const sha256 = (data: Buffer | string) => createHash('sha256').update(data).digest('hex');

/** Puts the packages to use whose digest is right; names the others, and removes them from the cache. */
async function usePackages(
	packages: readonly Package[],
	archives: string,
	use: (item: Package, data: Buffer) => Promise<void>,
): Promise<Package[]> {
	const damaged: Package[] = [];
	for (const item of packages) {
		const data = await readFile(join(archives, item.file)).catch(() => undefined);
		if (data && sha256(data) === item.sha256) {
			await use(item, data);
			await touch(join(archives, item.file));
			continue;
		}
		damaged.push(item);
		await rm(join(archives, item.file), {force: true});
	}
	return damaged;
}

/** Uses every package, once its digest is right: a damaged file of the cache is downloaded again, once. */
async function useAll(
	index: Index,
	packages: readonly Package[],
	options: IndexOptions,
	use: (item: Package, data: Buffer) => Promise<void>,
): Promise<void> {
	const archives = join(options.cache, 'packages');
	const damaged = await usePackages(packages, archives, use);
	if (damaged.length === 0) return;
	options.say(`damaged in the download cache, fetching again: ${damaged.map(({file}) => file).join(', ')}`);
	await downloadPackages(index, packages, options);
	const [still] = await usePackages(damaged, archives, use);
	if (still)
		throw new UserError(
			`${still.file} does not have the digest that Debian's signed index gives (sha256 ${still.sha256}); the mirror or a proxy on the way damages it: name another mirror (debian.mirror)`,
		);
}

/** Checks that the cache has every package as Debian's signed index says. Throws a UserError that names the one that is not. */
export async function checkFiles(index: Index, packages: readonly Package[], options: IndexOptions): Promise<void> {
	await useAll(index, packages, options, async () => {});
}

/**
 * Makes a local archive of exactly these packages, each checked against the digest of Debian's signed index.
 * A damaged file of the cache is downloaded again, once. Throws a UserError that names the package.
 */
export async function makeRepository(
	index: Index,
	packages: readonly Package[],
	folder: string,
	options: IndexOptions,
): Promise<void> {
	await mkdir(folder, {recursive: true});
	await useAll(index, packages, options, (item, data) => writeFile(join(folder, item.file), data));
	const list = packages
		.map(({stanza, file}) => `${stanza.replace(/^Filename: .*$/m, `Filename: ./${file}`)}\n\n`)
		.join('');
	const release = [
		'Origin: Debian',
		`Suite: ${index.debian.release}`,
		`Codename: ${index.debian.release}`,
		'Architectures: amd64',
		'SHA256:',
		` ${sha256(list)} ${Buffer.byteLength(list)} Packages`,
		'',
	];
	await writeFile(join(folder, 'Packages'), list);
	await writeFile(join(folder, 'Release'), release.join('\n'));
}
