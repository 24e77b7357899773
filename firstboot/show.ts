import {machineProbe} from './apply.ts';
import {readMachine} from './machine-json.ts';
import type {Probe} from './phase.ts';
import {hideSecrets, type RecordedMachine, recordProbe} from './record.ts';
import {type Preview, previewSequence} from './run.ts';
import {sequences} from './sequence.ts';
import {bootIdPath, formatStatus, type StatusRecord, statusPath} from './status.ts';

/** What provisioning asks of this machine, for a test or a report. */
export async function printRecord(): Promise<boolean> {
	const record: RecordedMachine = {commands: {}, files: {}};
	await previewSequence(sequences.provision, await readMachine(machineProbe), recordProbe(machineProbe, record));
	process.stdout.write(`${JSON.stringify(record, undefined, '\t')}\n`);
	return true;
}

/** Says what is left to do; and, of a phase that cannot be planned or is held back, why. */
export function printPlan(plans: readonly Preview[], json: boolean): boolean {
	const lines = ({phase, steps, fault, heldBy}: Preview): string[] => {
		if (heldBy && steps.length === 0) return [`${phase}: held back by ${heldBy.join(', ')}`];
		const whys = [...steps.map(({why}) => why), ...(fault === undefined ? [] : [`would fail: ${fault}`])];
		return (whys.length > 0 ? whys : ['nothing to do']).map(why => `${phase}: ${why}`);
	};
	if (json)
		process.stdout.write(
			`${JSON.stringify(
				plans.map(plan => ({...plan, ...hideSecrets(plan)})),
				undefined,
				'\t',
			)}\n`,
		);
	else for (const line of plans.flatMap(lines)) process.stdout.write(`${line}\n`);
	return plans.every(({fault}) => fault === undefined);
}

/** A run that was killed, or that a power cut ended, could not say so itself. */
export async function findEnd(record: StatusRecord, probe: Probe): Promise<StatusRecord> {
	if (record.state !== 'running') return record;
	const boot = (await probe.read(bootIdPath))?.trim();
	const {pid} = record.process;
	const runs = record.process.boot === boot && (await probe.read(`/proc/${pid}/cmdline`))?.includes('bringup');
	if (runs) return record;
	const phase = record.phases.find(({state}) => state === 'running')?.name ?? record.phases[0]?.name ?? '';
	const message = 'it was killed, or the power was cut: it has ended without a word';
	return {...record, state: 'failed', failures: [...record.failures, {phase, message}]};
}

/** Says how the last run ended, or where it is. */
export async function printStatus(json: boolean, probe: Probe = machineProbe): Promise<boolean> {
	const text = (await probe.read(statusPath)) ?? (await probe.read('/var/lib/bringup/status.json'));
	if (text === undefined) throw new Error('nothing has run yet');
	const record = await findEnd(JSON.parse(text) as StatusRecord, probe);
	process.stdout.write(`${json ? JSON.stringify(record, undefined, '\t') : formatStatus(record).join('\n')}\n`);
	return record.state !== 'failed';
}
