import {resolve} from 'node:path';
import {parseArgs} from 'node:util';
import {makeProgress} from '../progress.ts';
import {renderTree} from '../render/tree.ts';
import type {CliCommand} from './command.ts';
import {buildHelp, buildOptions, prepareBuild} from './prepare.ts';

export const buildPxeCommand: CliCommand = {
	summary: 'make a tree that machines boot from over the network',
	help: `usage: bringup build-pxe --profile NAME [--out DIR] [--tar] [--refresh] [--cache DIR] [--new-recovery-code] [--quiet]

  --profile NAME   a name in ./profiles or shipped with bringup, or a path
  --out DIR        default: out/NAME-pxe; bringup serve gives it to machines, and so does any TFTP and HTTP server
  --tar            also put it into one DIR.tar
${buildHelp}`,
	async run(argv, surroundings) {
		const {values} = parseArgs({args: [...argv], options: {...buildOptions, tar: {type: 'boolean'}}});
		const began = performance.now();
		const progress = makeProgress(surroundings.err, values.quiet ?? false);
		const [{buildPxe}, {prepareTree}] = await Promise.all([import('../build/pxe.ts'), import('../build/output.ts')]);
		const place = {default: ({name}: {name: string}) => resolve('out', `${name}-pxe`), check: prepareTree};
		const {profile, out, options, tell} = await prepareBuild(values, place, progress, surroundings);
		const build =
			profile.fields.install.method === 'image'
				? buildPxe
				: (await import('../build/installer/netboot.ts')).buildInstallerPxe;
		const {buildId} = await build(profile, await renderTree(profile), {...options, out, tar: values.tar ?? false});
		await tell();
		progress.say(`${out}: build ${buildId}, in ${((performance.now() - began) / 1000).toFixed(1)} s`);
		return 0;
	},
};
