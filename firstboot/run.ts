import {GivenUp, type Probe, rememberAnswers, type Step} from './phase.ts';
import {type Entry, type Machine, planEntry} from './sequence.ts';
import type {Status} from './status.ts';

/** The machine as the runner needs it: asked by probe, changed by apply. */
export interface Door {
	probe: Probe;
	apply(step: Step, say: (line: string) => void): Promise<void>;
}

/** How a sequence ended. */
export interface Outcome {
	done: boolean;
	/** A reboot that the sequence ends with; left to the caller, who has the last word to say before the machine goes down. */
	reboot?: Step;
}

/** Plans, applies, and plans again until nothing is left, or a reboot is. */
async function convergePhase(
	entry: Entry,
	machine: Machine,
	door: Door & {forget(): void},
	status: Status,
): Promise<Step | undefined> {
	let before = Number.POSITIVE_INFINITY;
	for (;;) {
		const steps = await planEntry(entry, machine, door.probe);
		if (steps === undefined) {
			status.phaseSkipped(entry.name);
			return undefined;
		}
		if (steps.length === 0) {
			status.phaseDone(entry.name);
			return undefined;
		}
		if (steps.length >= before) {
			throw new Error(`does not converge; left to do: ${steps.map(({why}) => why).join('; ')}`);
		}
		before = steps.length;
		for (const step of steps) {
			await status.stepStarted(entry.name, step);
			if (step.do === 'reboot') {
				status.phaseDone(entry.name);
				return step;
			}
			door.forget();
			await door.apply(step, line => status.say(`bringup: ${line}`));
		}
		door.forget();
	}
}

/** Brings the machine to where every phase has nothing to do. The first failure ends the sequence and is in the status; a phase that is given up is in the status too, and the others go on. */
export async function converge(
	sequence: readonly Entry[],
	machine: Machine,
	door: Door,
	status: Status,
): Promise<Outcome> {
	const remembering = {...door, ...rememberAnswers(door.probe)};
	let done = true;
	for (const entry of sequence) {
		status.phaseStarted(entry.name);
		try {
			const reboot = await convergePhase(entry, machine, remembering, status);
			if (reboot) return {done, reboot};
		} catch (error) {
			await status.phaseFailed(entry.name, error);
			if (!(error instanceof GivenUp)) return {done: false};
			done = false;
		}
	}
	return {done};
}
