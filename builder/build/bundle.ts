import {readFile} from 'node:fs/promises';
import {join} from 'node:path';
import {type BuildOptions, build} from 'esbuild';
import {packageFolder} from '../paths.ts';

/** How the firstboot service is bundled. */
const settings = {
	entryPoints: [join(packageFolder, 'dist/firstboot/main.js')],
	absWorkingDir: packageFolder, // else names of modules in it depend on where the command was given
	bundle: true,
	platform: 'node',
	format: 'cjs',
	target: 'node18',
	minifySyntax: true,
	minifyWhitespace: true,
	legalComments: 'none',
	write: false,
	logLevel: 'silent',
} as const satisfies BuildOptions;

/**
 * The firstboot service as one file for Debian's own nodejs: 18 in bookworm, 20 in trixie.
 * What is bundled is what the tests ran: the compiled modules. As CommonJS a module is loaded when it is first needed.
 */
export async function buildBundle(): Promise<string> {
	const result = await build(settings);
	return result.outputFiles[0]?.text ?? '';
}

/** The same file, and the npm packages whose code is in it. */
export async function readBundle(): Promise<{text: string; packages: {name: string; version: string}[]}> {
	const {metafile, outputFiles} = await build({...settings, metafile: true});
	const folderOf = (path: string) => /^.*\bnode_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(path)?.[0];
	const folders = new Set(Object.keys(metafile.inputs).flatMap(path => folderOf(path) ?? []));
	const read = [...folders].sort().map(async folder => {
		const text = await readFile(join(packageFolder, folder, 'package.json'), 'utf8');
		const {name, version} = JSON.parse(text) as {name: string; version: string};
		return {name, version};
	});
	return {text: outputFiles[0]?.text ?? '', packages: await Promise.all(read)};
}
