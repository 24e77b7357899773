import {realpath} from 'node:fs/promises';
import {basename} from 'node:path';
import {parseArgs} from 'node:util';
import {endings} from '../bake/attest.ts';
import {describeAge, findSums, verifyArtefact} from '../bake/verify.ts';
import {UsageError} from '../run.ts';
import type {CliCommand} from './command.ts';

export const verify: CliCommand = {
	summary: 'check an image or an ISO with its digests, its signature and its date',
	help: `usage: bringup verify-artefact FILE (--signers FILE | --provenance-key KEY.pem | --unsigned) [--max-age DAYS] [--json]

  FILE                  a file of an image or of an ISO: guest.qcow2, node.iso, an SBOM, a manifest, or the .image.sha256.
                        Its .image.sha256 must be next to it, and is checked for each file that is there;
                        of a .image.sha256 itself, every file must be there
  --signers FILE        who may have signed it: an allowed signers file (ssh-keygen(1))
  --provenance-key KEY  the public key of its signed provenance (.intoto.jsonl)
  --unsigned            check the digests alone: that tells damage, and not who made it
  --max-age DAYS        its packages may not be older
  --json                the result on standard output

The same by hand:  sha256sum -c --ignore-missing guest.image.sha256
                   ssh-keygen -Y verify -f signers -I NAME -n bringup-image -s guest.image.sha256.sig < guest.image.sha256
                   cosign verify-blob-attestation --insecure-ignore-tlog --key KEY.pem --type slsaprovenance1 \\
                     --signature guest.intoto.jsonl guest.qcow2

Exit code 0: all that was asked for is right. 1: something is not, or nobody's signature was checked.
`,
	async run(argv, {out, err}) {
		const text = {type: 'string'} as const;
		const flag = {type: 'boolean'} as const;
		const options = {
			...{signers: text, 'provenance-key': text, 'max-age': text},
			...{unsigned: flag, json: flag},
		} as const;
		const {values, positionals} = parseArgs({args: [...argv], allowPositionals: true, options});
		const [given, second] = positionals;
		if (given === undefined || second !== undefined) throw new UsageError('which artefact? Say one file');
		const maxAge = values['max-age'] === undefined ? undefined : Number(values['max-age']);
		if (maxAge !== undefined && !(maxAge >= 0)) throw new UsageError('--max-age is a number of days');
		const signed = values.signers ?? values['provenance-key'];
		if (signed !== undefined && values.unsigned)
			throw new UsageError('--unsigned checks no signature; leave out --signers and --provenance-key, or leave it out');
		// NAME-latest.qcow2 is a link, and what is signed stands beside what it leads to.
		const path = await realpath(given).catch(() => {
			throw new UsageError(`there is no ${given}`);
		});
		const sums = await findSums(path);
		const isAll = path === sums || path.endsWith(endings.signature);
		const provenanceKey = values['provenance-key'];
		const file = isAll ? undefined : basename(path);
		const found = await verifyArtefact(sums, {signers: values.signers, provenanceKey, file});
		const age = describeAge(found.epoch, Date.now(), maxAge);
		const {files, absent, signer, keyId, epoch} = found;
		if (values.json) {
			const date = epoch === undefined ? null : new Date(epoch * 1000).toISOString();
			const result = {sums, signer: signer ?? null, provenanceKey: keyId ?? null, files, absent, date};
			out.write(`${JSON.stringify(result, undefined, '\t')}\n`);
		} else {
			const lines = [
				...files.map(name => `${name}: OK`),
				...absent.map(name => `${name}: not here, not checked`),
				...(signer === undefined ? [] : [`signed by ${signer}`]),
				...(keyId === undefined ? [] : [`its provenance is signed by the key ${keyId}`]),
				...(signed === undefined ? ['signature not checked'] : []),
				age,
			];
			out.write(`${lines.join('\n')}\n`);
		}
		if (signed !== undefined || values.unsigned) return 0;
		err.write(
			"error: nobody's signature was checked, so whoever can write these files can have made them. Try: --signers FILE, or --unsigned for the digests alone\n",
		);
		return 1;
	},
};
