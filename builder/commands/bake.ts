import {resolve} from 'node:path';
import {parseArgs} from 'node:util';
import {makeProgress} from '../progress.ts';
import {renderTree} from '../render/tree.ts';
import {type CliCommand, load} from './command.ts';
import {buildHelp, buildOptions, keyOptions, prepareBuild, readKeys} from './prepare.ts';

export const bake: CliCommand = {
	summary: 'make a golden image, and prove it with two clones',
	help: `usage: bringup bake --profile NAME [--out FILE] [--sign KEY] [--sign-provenance KEY.pem] [--refresh] [--cache DIR] [--quiet]

  --profile NAME   a profile with the section image: a name in ./profiles or shipped with bringup, or a path
  --out FILE       without an ending (default: out/NAME); each of image.formats adds its own, and beside them are
                   .image.json (what was made of what, and what was proven), .cdx.json (SBOM), .intoto.json
                   (provenance), .image.sha256 (of all of these) and its signature
  --sign KEY       an SSH key: a private one, or the public one of a key that the agent has
  --sign-provenance KEY.pem   a private key (ECDSA P-256 or Ed25519) that signs the provenance: .intoto.jsonl, a DSSE
                   envelope as cosign reads it

The profile's medium installs a virtual machine onto an empty disk; the disk is sealed and looked at, packed, and two
clones of it boot at once with different seeds, twice. What is not proven is not put in its place; why is in
FILE.evidence then. It takes minutes with KVM, and without about ten times as long.

${buildHelp}`,
	async run(argv, surroundings) {
		const {values} = parseArgs({args: [...argv], options: {...buildOptions, ...keyOptions}});
		const began = performance.now();
		const progress = makeProgress(surroundings.err, values.quiet ?? false);
		const {prepareImage} = await import('../build/output.ts');
		const {bakeImage, imageOf} = await import('../bake/bake.ts');
		imageOf((await load(values.profile, surroundings)).profile); // before a key or a code is made for it
		const place = {
			default: ({name}: {name: string}) => resolve('out', name),
			check: prepareImage,
		};
		const {profile, out, options} = await prepareBuild(values, place, progress, surroundings);
		const {buildId, made} = await bakeImage(profile, await renderTree(profile), {
			...options,
			out,
			keys: readKeys(values.sign, values['sign-provenance']),
		});
		const seconds = ((performance.now() - began) / 1000).toFixed(1);
		progress.say(
			made
				? `${out}: build ${buildId}, baked and proven in ${seconds} s`
				: `${out}: build ${buildId} is there already, nothing to do (${seconds} s)`,
		);
		return 0;
	},
};
