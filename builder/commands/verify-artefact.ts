import {realpath} from 'node:fs/promises';
import {basename} from 'node:path';
import {parseArgs} from 'node:util';
import {endings, verifyArtefact} from '../bake/attest.ts';
import {UsageError} from '../run.ts';
import type {CliCommand} from './command.ts';

export const verify: CliCommand = {
	summary: 'check an image with its digests and its signature',
	help: `usage: bringup verify-artefact IMAGE [--signers FILE] [--json]

  IMAGE            a file of an image, such as guest.qcow2, or its .image.sha256
  --signers FILE   who may have signed it: an allowed signers file (ssh-keygen(1)); without it, the digests alone are
                   checked, which tells damage and not who made it

The same by hand:  sha256sum -c guest.image.sha256
                   ssh-keygen -Y verify -f signers -I NAME -n bringup-image -s guest.image.sha256.sig < guest.image.sha256
`,
	async run(argv, {out}) {
		const options = {signers: {type: 'string'}, json: {type: 'boolean'}} as const;
		const {values, positionals} = parseArgs({args: [...argv], allowPositionals: true, options});
		const [given, second] = positionals;
		if (given === undefined || second !== undefined) throw new UsageError('which image? Say one file');
		// NAME-latest.qcow2 is a link, and what is signed stands beside what it leads to.
		const path = await realpath(given).catch(() => {
			throw new UsageError(`there is no ${given}`);
		});
		const stem = path.replace(/\.(qcow2|raw|vmdk|vhdx|ova)$/, '');
		const isSums = path.endsWith(endings.sums);
		const sums = isSums ? path : `${stem}${endings.sums}`;
		const {signer, files} = await verifyArtefact(sums, values.signers, isSums ? undefined : basename(path));
		if (values.json) out.write(`${JSON.stringify({sums, signer: signer ?? null, files}, undefined, '\t')}\n`);
		else
			out.write(
				`${files.join('\n')}\n${files.length} files are what they were${signer ? `, signed by ${signer}` : ''}\n`,
			);
		return 0;
	},
};
