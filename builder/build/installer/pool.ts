import {createHash} from 'node:crypto';
import {gzipSync} from 'node:zlib';
import type {Package} from '../packages.ts';
import {poolPath, readField} from '../pool-files.ts';
import {numbers} from './lock.ts';

/** A repository of a medium: files of its own by path, and files of the cache by path. */
export interface Pool {
	lists: ReadonlyMap<string, Buffer>;
	files: ReadonlyMap<string, string>;
}

const sha256 = (data: Buffer) => createHash('sha256').update(data).digest('hex');

/**
 * A repository that debootstrap, apt and debian-installer take. The stanzas are the archive's own, whose priorities come
 * from its overrides; a list ends with an empty line, or debootstrap loses its last package; udebs are in a list of their
 * own, or debootstrap would install them.
 */
export function makePool(
	release: keyof typeof numbers,
	packages: readonly Package[],
	udebs: readonly string[],
	{cache, epoch}: {cache: string; epoch: number},
): Pool {
	const list = (stanzas: readonly string[]) => Buffer.from(stanzas.map(stanza => `${stanza}\n\n`).join(''));
	const section = (folder: string, content: Buffer): [string, Buffer][] => [
		[`${folder}/Packages`, content],
		[`${folder}/Packages.gz`, gzipSync(content)],
		[
			`${folder}/Release`,
			Buffer.from(`Archive: ${release}\nOrigin: Debian\nLabel: Debian\nComponent: main\nArchitecture: amd64\n`),
		],
	];
	const below = new Map([
		...section('main/binary-amd64', list(packages.map(({stanza}) => stanza))),
		...section('main/debian-installer/binary-amd64', list(udebs)),
	]);
	const description = [
		'Origin: Debian',
		'Label: Debian',
		`Suite: ${release}`,
		`Codename: ${release}`,
		`Version: ${numbers[release]}.0`,
		`Date: ${new Date(epoch * 1000).toUTCString()}`,
		'Architectures: amd64',
		'Components: main',
		'Description: the packages of one machine, on its medium',
		'SHA256:',
		...[...below].map(([path, content]) => ` ${sha256(content)} ${content.length} ${path}`),
		'',
	];
	return {
		lists: new Map([
			[`dists/${release}/Release`, Buffer.from(description.join('\n'))],
			...[...below].map(([path, content]) => [`dists/${release}/${path}`, content] as const),
		]),
		files: new Map([
			...packages.map(({stanza, file}) => [readField(stanza, 'Filename'), `${cache}/packages/${file}`] as const),
			...udebs.map(stanza => {
				const file = readField(stanza, 'Filename');
				return [file, poolPath(cache, file)] as const;
			}),
		]),
	};
}
