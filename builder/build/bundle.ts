import {join} from 'node:path';
import {build} from 'esbuild';
import {packageFolder} from '../paths.ts';

/**
 * The firstboot service as one file for Debian's own nodejs: 18 in bookworm, 20 in trixie.
 * What is bundled is what the tests ran: the compiled modules. As CommonJS a module is loaded when it is first needed.
 */
export async function buildBundle(): Promise<string> {
	const result = await build({
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
	});
	return result.outputFiles[0]?.text ?? '';
}
