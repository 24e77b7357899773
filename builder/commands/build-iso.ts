import {parseArgs} from 'node:util';
import {makeProgress} from '../progress.ts';
import {renderTree} from '../render/tree.ts';
import {type CliCommand, defaultIso} from './command.ts';
import {buildHelp, buildOptions, prepareBuild} from './prepare.ts';

export const buildIsoCommand: CliCommand = {
	summary: 'make the installer ISO of a profile',
	help: `usage: build-iso --profile NAME [--out FILE.iso] [--refresh] [--cache DIR] [--new-recovery-code] [--quiet]

  --profile NAME   a name in ./profiles or shipped with bringup, or a path
  --out FILE.iso   default: out/NAME.iso; its .sha256, .manifest.json and .log go beside it
${buildHelp}`,
	async run(argv, surroundings) {
		const {values} = parseArgs({args: [...argv], options: buildOptions});
		const began = performance.now();
		const progress = makeProgress(surroundings.err, values.quiet ?? false);
		const {buildIso, prepareOutput} = await import('../build/build.ts');
		const place = {default: defaultIso, check: prepareOutput};
		const {profile, out: iso, options, tell} = await prepareBuild(values, place, progress, surroundings);
		const {buildId, made} = await buildIso(profile, await renderTree(profile), {...options, iso});
		await tell();
		const seconds = ((performance.now() - began) / 1000).toFixed(1);
		progress.say(
			made
				? `${iso}: build ${buildId}, in ${seconds} s`
				: `${iso}: build ${buildId} is there already, nothing to do (${seconds} s)`,
		);
		return 0;
	},
};
