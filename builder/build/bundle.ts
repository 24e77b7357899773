import {join} from 'node:path';
import {build} from 'esbuild';
import {packageFolder} from '../paths.ts';

/**
 * The firstboot service as one file for Debian's own nodejs: 18 in bookworm, 20 in trixie.
 * What is bundled is what the tests ran: the compiled modules.
 */
export async function buildBundle(): Promise<string> {
	const result = await build({
		entryPoints: [join(packageFolder, 'dist/firstboot/main.js')],
		bundle: true,
		platform: 'node',
		format: 'esm',
		target: 'node18',
		// execa has CommonJS dependencies, which need a require.
		banner: {
			js: "import {createRequire as bringupRequire} from 'node:module'; const require = bringupRequire(import.meta.url);",
		},
		minifySyntax: true,
		legalComments: 'none',
		write: false,
		logLevel: 'silent',
	});
	return result.outputFiles[0]?.text ?? '';
}
