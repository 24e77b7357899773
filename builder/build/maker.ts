import {readdir, readFile} from 'node:fs/promises';
import {join} from 'node:path';
import {packageFolder} from '../paths.ts';
import {run} from '../run.ts';
import {digestOf} from './cache.ts';

/** What of Debian's packages the build runs; libraries too, where they write what is on the medium. */
const toolPackages = [
	...['mmdebstrap', 'squashfs-tools', 'xorriso', 'mtools', 'grub-common', 'apt', 'live-build', 'cpio', 'tar'],
	...['libisoburn1', 'libisoburn1t64', 'libburn4', 'libburn4t64', 'libzstd1', 'liblzma5', 'zlib1g'],
];

/** The versions of Debian packages, by name; one that is not installed is left out. */
export async function readVersions(names: readonly string[]): Promise<Record<string, string>> {
	// A tool that was not installed as a package has no version here; dpkg-query then exits with 1 and still prints the others.
	// biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg-query's own syntax
	const format = '${Package} ${Version}\n';
	const output = await run(['dpkg-query', '--show', '--showformat', format, ...names]).catch(error =>
		String(error.output ?? ''),
	);
	const tools = output
		.split('\n')
		.map(line => line.split(' '))
		.filter(([name = '', version]) => names.includes(name) && version);
	return Object.fromEntries(tools);
}

/** bringup's own code in some rooms: another one may make another medium. */
export async function digestCode(rooms: readonly string[]): Promise<string> {
	const folder = join(packageFolder, 'dist/builder');
	const lists = rooms.map(async room => {
		const all = await readdir(join(folder, room), {recursive: true});
		const names = all.filter(name => /(?<!\.test)\.js$/.test(name)).sort();
		return Promise.all(names.map(async name => [room, name, await readFile(join(folder, room, name), 'utf8')]));
	});
	return digestOf(await Promise.all(lists));
}

/** bringup's version; and the commit that it was compiled from, where that was known. */
export async function readRelease(): Promise<string> {
	const {version} = JSON.parse(await readFile(join(packageFolder, 'package.json'), 'utf8')) as {version: string};
	const commit = (await readFile(join(packageFolder, 'dist/commit'), 'utf8').catch(() => '')).trim();
	return commit === '' ? version : `${version} (${commit})`;
}

/** By what an artefact is made, as far as it changes its bytes. */
export interface Maker {
	/** Versions of Node.js and of the Debian packages that the build runs. */
	tools: Record<string, string>;
	/** Digest of bringup's own code. */
	code: string;
}

/** What a manifest says of its maker. */
export async function readTools(): Promise<Record<string, string>> {
	const {tools, code} = await readMaker();
	return {bringup: await readRelease(), 'bringup-code': code, ...tools};
}

/** Reads by what artefacts are made here. */
export async function readMaker(): Promise<Maker> {
	const [versions, code] = await Promise.all([readVersions(toolPackages), digestCode(['build'])]);
	return {tools: {node: process.version, ...versions}, code};
}
