import {machineProbe} from './apply.ts';
import {readMachine} from './machine-json.ts';
import {hideSecrets, type RecordedMachine, recordProbe} from './record.ts';
import {planSequence, sequences} from './sequence.ts';
import {formatStatus, type StatusRecord, statusPath} from './status.ts';

export async function printRecord(): Promise<void> {
	const record: RecordedMachine = {commands: {}, files: {}};
	await planSequence(sequences.provision, await readMachine(machineProbe), recordProbe(machineProbe, record));
	process.stdout.write(`${JSON.stringify(record, undefined, '\t')}\n`);
}

export function printPlan(plans: Awaited<ReturnType<typeof planSequence>>, json: boolean): void {
	if (json) process.stdout.write(`${JSON.stringify(plans.map(hideSecrets), undefined, '\t')}\n`);
	else
		for (const {phase, steps} of plans)
			for (const why of steps.length > 0 ? steps.map(({why}) => why) : ['nothing to do'])
				process.stdout.write(`${phase}: ${why}\n`);
}

export async function printStatus(json: boolean): Promise<boolean> {
	const text = (await machineProbe.read(statusPath)) ?? (await machineProbe.read('/var/lib/bringup/status.json'));
	if (text === undefined) throw new Error('nothing has run yet');
	const record = JSON.parse(text) as StatusRecord;
	process.stdout.write(json ? text : `${formatStatus(record).join('\n')}\n`);
	return record.state !== 'failed';
}
