import {createHash} from 'node:crypto';
import {mkdir, readFile, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {UserError} from '../run.ts';
import {downloadPackages, type Index, type IndexOptions, type Package} from './packages.ts';

const sha256 = (data: Buffer | string) => createHash('sha256').update(data).digest('hex');

/** Copies the packages whose digest is right; names the others, and removes them from the cache. */
async function copyPackages(packages: readonly Package[], archives: string, folder: string): Promise<Package[]> {
	const damaged: Package[] = [];
	for (const item of packages) {
		const data = await readFile(join(archives, item.file)).catch(() => undefined);
		if (data && sha256(data) === item.sha256) {
			await writeFile(join(folder, item.file), data);
			continue;
		}
		damaged.push(item);
		await rm(join(archives, item.file), {force: true});
	}
	return damaged;
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
	const archives = join(options.cache, 'packages');
	await mkdir(folder, {recursive: true});
	const damaged = await copyPackages(packages, archives, folder);
	if (damaged.length > 0) {
		options.say(`damaged in the download cache, fetching again: ${damaged.map(({file}) => file).join(', ')}`);
		await downloadPackages(index, packages, options);
		const [still] = await copyPackages(damaged, archives, folder);
		if (still)
			throw new UserError(
				`${still.file} does not have the digest that Debian's signed index gives (sha256 ${still.sha256}); the mirror or a proxy on the way damages it: name another mirror (debian.mirror)`,
			);
	}
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
