import {resolve} from 'node:path';
import {parseArgs} from 'node:util';
import {type Domain, own, placeDomains, renderSeed} from '../../firstboot/sequence.ts';
import {type SeedFormat, writeSeedFolder, writeSeedIso} from '../bake/seed.ts';
import {listMembers} from '../build/cluster.ts';
import {checkReplaced, isVolume, prepareFolder} from '../build/output.ts';
import {suggest} from '../profile/explain.ts';
import {checkPrograms, UsageError, UserError} from '../run.ts';
import {fetchClusters} from './clusters.ts';
import {type CliCommand, load} from './command.ts';

const noMachine = '0'.repeat(32);

/** A seed finds its links by MAC address, and where the profile has none they are made from the machine's identity. */
function readIdentity(given: string | undefined, name: string, {networks}: Domain): string {
	const digits = given?.toLowerCase().replaceAll('-', '');
	if (digits !== undefined && /^[0-9a-f]{32}$/.test(digits)) return digits;
	const where = '`sudo cat /sys/class/dmi/id/product_uuid` prints';
	if (digits !== undefined) throw new UsageError(`--machine-id is a UUID, as ${where} it on the machine`);
	if (networks.every(({mac}) => mac !== undefined)) return noMachine;
	throw new UsageError(
		`the MAC addresses of ${name} are made from the identity of the machine that it runs on: say --machine-id with what ${where} there, or give each of its networks a mac in the profile`,
	);
}

export const seed: CliCommand = {
	summary: 'write the cloud-init seed of a domain',
	help: `usage: bringup seed --profile NAME --domain NAME [--out FILE.iso | --out DIR/] [--format F] [--machine-id ID]

  --profile NAME   a profile with the section virtualization
  --domain NAME    one of its domains, with a seed
  --out PLACE      an ISO, or a folder when it ends in a slash; default: out/DOMAIN-seed.iso
  --format F       nocloud (default: label CIDATA), or configdrive (label config-2)
  --machine-id ID  UUID of the firmware of the machine that the domain runs on, where the profile gives its links no
                   MAC address

It is the very seed that a machine of this profile gives the domain, when the cluster that it joins, if any, is the one
in ~/.local/share/bringup/clusters. Keep it as you keep the secrets that it holds.
`,
	async run(argv, surroundings) {
		const text = {type: 'string'} as const;
		const options = {profile: text, domain: text, out: text, format: text, 'machine-id': text} as const;
		const {values} = parseArgs({args: [...argv], options});
		const format = values.format ?? 'nocloud';
		if (format !== 'nocloud' && format !== 'configdrive')
			throw new UsageError(`--format is nocloud or configdrive, and not ${format}`);
		const {profile, secrets} = await load(values.profile, surroundings);
		const {virtualization} = profile.fields;
		const names = Object.keys(virtualization?.domains ?? {});
		const known = names.length === 0 ? `the profile ${profile.name} has none` : `it has: ${names.join(', ')}`;
		if (values.domain === undefined) throw new UsageError(`which domain? Say --domain NAME; ${known}`);
		const name = values.domain;
		const domain = own(virtualization?.domains ?? {}, name);
		if (!virtualization || !domain)
			throw new UsageError(`the profile ${profile.name} has no domain "${name}"${suggest(name, names)}; ${known}`);
		const placed = placeDomains(virtualization, readIdentity(values['machine-id'], name, domain));
		const found = placed.find(one => one.name === name);
		if (found?.seed?.users.some(({sshKeys}) => sshKeys === 'auto'))
			throw new UserError(
				`the seed of ${name} says sshKeys: auto, and neither ~/.ssh/id_*.pub nor the agent has a key. Make one with ssh-keygen, or name it in the profile`,
			);
		const members = listMembers(profile).filter(({domain}) => domain === name);
		const brought = await fetchClusters(members, false, surroundings);
		const rendered = found && renderSeed(found, new Map([...secrets, ...brought]));
		if (!rendered) throw new UserError(`the domain ${name} has no seed in the profile`);
		await write(rendered, format, values.out ?? `out/${name}-seed.iso`, surroundings.environment['PATH'] ?? '');
		surroundings.err.write(`${values.out ?? `out/${name}-seed.iso`}: instance ${rendered.instanceId}\n`);
		return 0;
	},
};

async function write(rendered: Parameters<typeof writeSeedIso>[0], format: SeedFormat, out: string, path: string) {
	if (out.endsWith('/')) return writeSeedFolder(rendered, format, resolve(out));
	await checkPrograms(['xorriso'], path);
	await prepareFolder(resolve(out));
	await checkReplaced(resolve(out), isVolume('CIDATA', 'config-2'));
	return writeSeedIso(rendered, format, resolve(out));
}
