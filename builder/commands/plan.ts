import {readFile} from 'node:fs/promises';
import {join} from 'node:path';
import {parseArgs} from 'node:util';
import {findMarked} from '../../firstboot/facts/marked.ts';
import {
	assetsFolder,
	hideSecrets,
	listClusterFiles,
	machineSchema,
	planSequence,
	probeRecord,
	type RecordedMachine,
	recoveryPath,
	secretPath,
	sequences,
} from '../../firstboot/sequence.ts';
import {listMembers} from '../build/cluster.ts';
import {packageFolder} from '../paths.ts';
import {withKey} from '../profile/complete.ts';
import {makeMachine} from '../render/tree.ts';
import {UsageError, UserError} from '../run.ts';
import {type CliCommand, look, noteKey} from './command.ts';
import {imagineMachine, probeImagined} from './imagined.ts';

async function readRecord(path: string): Promise<RecordedMachine> {
	const text = await readFile(path, 'utf8');
	try {
		return JSON.parse(text) as RecordedMachine;
	} catch (error) {
		throw new UsageError(`${path} is no record of a machine; make one with: bringup plan --record`, {cause: error});
	}
}

/** In the place of the digest of a file that is not here. */
const unknownDigest = '0'.repeat(64);

/** In the place of a key that build-iso makes. */
const madeKey = '(the public key that build-iso makes)';

export const plan: CliCommand = {
	summary: 'show the steps that install and provision would take',
	help: `usage: bringup plan --profile NAME [--machine FILE] [--json]

  --machine FILE   a machine recorded with \`bringup plan --record\` on it; without it, a blank machine with the disks that the profile names
  --json           for a program: [{sequence, phases: [{phase, steps}]}]
`,
	async run(argv, surroundings) {
		const {values} = parseArgs({
			args: [...argv],
			options: {profile: {type: 'string'}, machine: {type: 'string'}, json: {type: 'boolean'}},
		});
		const loaded = await look(values.profile, surroundings);
		const {assets, needsKey} = loaded;
		const profile = needsKey ? withKey(loaded.profile, madeKey) : loaded.profile;
		for (const {value} of findMarked('asset', profile.fields)) value.asset.sha256 ??= unknownDigest;
		const blank = join(packageFolder, 'firstboot/machines/blank.json');
		const record = values.machine
			? await readRecord(values.machine)
			: imagineMachine(await readRecord(blank), profile.fields);
		const cluster = listMembers(profile).flatMap(({member, hostname, place}) =>
			[...listClusterFiles(member, hostname).keys()].map(place),
		);
		const secrets = findMarked('secret', profile.fields).map(({value}) => secretPath(value));
		const stands = Object.fromEntries([...secrets, recoveryPath, ...cluster].map(path => [path, 'secret']));
		const brought = values.machine
			? {}
			: {[`${assetsFolder}/`]: [unknownDigest, ...assets.map(({sha256}) => sha256)].join('\n')};
		const found = {commands: record.commands, files: {...brought, ...record.files, ...stands}};
		const probe = values.machine ? probeRecord(found) : probeImagined(found);
		if (needsKey) surroundings.err.write(noteKey);
		const machine = machineSchema.parse(makeMachine(profile));
		const plans = [];
		// What follows the partitioner of debian-installer can only be planned behind it.
		const begin = profile.fields.install.method === 'image' ? 'install' : 'choose';
		for (const sequence of [begin, 'provision'] as const) {
			const planned = await planSequence(sequences[sequence], machine, probe).catch(error => {
				// On this machine the sequence would stop here, and say this.
				throw new UserError(`${sequence} would stop: ${error.message}`, {cause: error});
			});
			plans.push({sequence, phases: planned});
		}
		if (values.json) {
			const shown = plans.map(({sequence, phases}) => ({sequence, phases: phases.map(hideSecrets)}));
			surroundings.out.write(`${JSON.stringify(shown, undefined, '\t')}\n`);
			return 0;
		}
		for (const {sequence, phases} of plans) {
			surroundings.out.write(`${sequence}\n`);
			for (const {phase, steps} of phases) {
				const whys = steps.map(({why}) => `    ${why}`);
				surroundings.out.write(`${[`  ${phase}`, ...(whys.length > 0 ? whys : ['    nothing to do'])].join('\n')}\n`);
			}
		}
		return 0;
	},
};
