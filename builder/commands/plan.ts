import {readFile} from 'node:fs/promises';
import {join} from 'node:path';
import {parseArgs} from 'node:util';
import {
	assetsFolder,
	hideSecrets,
	listClusterFiles,
	machineSchema,
	planSequence,
	probeRecord,
	type RecordedMachine,
	recoveryPath,
	sequences,
} from '../../firstboot/sequence.ts';
import {listMembers} from '../build/cluster.ts';
import {packageFolder} from '../paths.ts';
import {makeMachine} from '../render/tree.ts';
import {UsageError, UserError} from '../run.ts';
import {type CliCommand, load, noteKey} from './command.ts';

async function readRecord(path: string): Promise<RecordedMachine> {
	const text = await readFile(path, 'utf8');
	try {
		return JSON.parse(text) as RecordedMachine;
	} catch (error) {
		throw new UsageError(`${path} is no record of a machine; make one with: bringup plan --record`, {cause: error});
	}
}

export const plan: CliCommand = {
	summary: 'show the steps that install and provision would take',
	help: `usage: bringup plan --profile NAME [--machine FILE] [--json]

  --machine FILE   a machine recorded with \`bringup plan --record\` on it; without it, a blank machine with one NVMe disk
  --json           for a program: [{sequence, phases: [{phase, steps}]}]
`,
	async run(argv, surroundings) {
		const {values} = parseArgs({
			args: [...argv],
			options: {profile: {type: 'string'}, machine: {type: 'string'}, json: {type: 'boolean'}},
		});
		const {profile, secrets, assets, needsKey} = await load(values.profile, surroundings);
		const record = await readRecord(values.machine ?? join(packageFolder, 'firstboot/machines/blank.json'));
		const cluster = listMembers(profile).flatMap(({member, hostname, place}) =>
			[...listClusterFiles(member, hostname).keys()].map(place),
		);
		const stands = Object.fromEntries([...secrets.keys(), recoveryPath, ...cluster].map(path => [path, 'secret']));
		const brought = values.machine ? {} : {[`${assetsFolder}/`]: assets.map(({sha256}) => sha256).join('\n')};
		const probe = probeRecord({commands: record.commands, files: {...brought, ...record.files, ...stands}});
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
