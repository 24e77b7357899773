import {dirname} from 'node:path';
import {parseArgs} from 'node:util';
import type {Keys} from '../bake/attest.ts';
import type {CompleteProfile} from '../profile/complete.ts';
import {makeProgress} from '../progress.ts';
import {renderTree} from '../render/tree.ts';
import {UsageError} from '../run.ts';
import {type CliCommand, defaultIso} from './command.ts';
import {buildHelp, buildOptions, keyOptions, prepareBuild, readKeys} from './prepare.ts';

/** Writes what verify-artefact reads next to the ISO, unless it is there and no key is to sign it. */
async function attestMedium(iso: string, profile: CompleteProfile, keys: Keys, made: boolean): Promise<void> {
	const {attestIso, isAttested} = await import('../bake/medium.ts');
	const isAsked = keys.signing !== undefined || keys.provenance !== undefined;
	if (made || isAsked || !(await isAttested(iso))) await attestIso(iso, profile, keys);
}

export const buildIsoCommand: CliCommand = {
	summary: 'make the installer ISO of a profile',
	help: `usage: build-iso --profile NAME [--out FILE.iso] [--engine NAME] [--sign KEY] [--sign-provenance KEY.pem]
                 [--refresh] [--cache DIR] [--new-recovery-code] [--quiet]

  --profile NAME   a name in ./profiles or shipped with bringup, or a path
  --out FILE.iso   default: out/NAME.iso; its .sha256, .manifest.json and .log go beside it, and what verify-artefact reads:
                   .iso.cdx.json (SBOM), .iso.intoto.json (provenance), .iso.image.sha256 (of all of these)
  --engine NAME    own (default), or live-build: Debian's lb config and lb build on the rendered tree, as root

  --sign KEY       an SSH key signs .iso.image.sha256: a private one, or the public one of a key that the agent has
  --sign-provenance KEY.pem   a private key (ECDSA P-256 or Ed25519) signs the provenance: .iso.intoto.jsonl, as cosign reads it

The profile says who installs: install.method is image, or debian-installer.

${buildHelp}`,
	async run(argv, surroundings) {
		const options = {...buildOptions, ...keyOptions, engine: {type: 'string', default: 'own'}} as const;
		const {values} = parseArgs({args: [...argv], options});
		if (!['own', 'live-build'].includes(values.engine))
			throw new UsageError(`--engine is own or live-build, and not ${values.engine}`);
		const began = performance.now();
		const progress = makeProgress(surroundings.err, values.quiet ?? false);
		const [{buildIso}, {prepareOutput}] = await Promise.all([
			import('../build/build.ts'),
			import('../build/output.ts'),
		]);
		const place = {default: defaultIso, check: prepareOutput};
		const prepared = await prepareBuild(values, place, progress, surroundings);
		const {profile, out: iso} = prepared;
		const installer = profile.fields.install.method === 'debian-installer';
		if (installer && values.engine !== 'own')
			throw new UsageError('--engine live-build makes an image; the profile says method: debian-installer');
		const keys = readKeys(values.sign, values['sign-provenance']);
		await (await import('../bake/attest.ts')).checkKeys(keys, dirname(iso));
		const build = installer
			? (await import('../build/installer/installer.ts')).buildInstallerIso
			: values.engine === 'own'
				? buildIso
				: (await import('../build/live-build.ts')).buildWithLiveBuild;
		const {buildId, made} = await build(profile, await renderTree(profile), {...prepared.options, iso});
		await attestMedium(iso, profile, keys, made);
		await prepared.tell();
		const seconds = ((performance.now() - began) / 1000).toFixed(1);
		progress.say(
			made
				? `${iso}: build ${buildId}, in ${seconds} s`
				: `${iso}: build ${buildId} is there already, nothing to do (${seconds} s)`,
		);
		return 0;
	},
};
