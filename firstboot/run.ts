import type {Probe, Step} from './phase.ts';
import {type Entry, type Machine, planEntry} from './sequence.ts';
import type {Status} from './status.ts';

/** The machine as the runner needs it: asked by probe, changed by apply. */
export interface Door {
	probe: Probe;
	apply(step: Step): Promise<void>;
}

/** Plans, applies, and plans again until nothing is left; true when it ended in a reboot. */
async function convergePhase(entry: Entry, machine: Machine, door: Door, status: Status): Promise<boolean> {
	let before = Number.POSITIVE_INFINITY;
	for (;;) {
		const steps = await planEntry(entry, machine, door.probe);
		if (steps === undefined) {
			status.phaseSkipped(entry.name);
			return false;
		}
		if (steps.length === 0) {
			status.phaseDone(entry.name);
			return false;
		}
		if (steps.length >= before) {
			throw new Error(`does not converge; left to do: ${steps.map(({why}) => why).join('; ')}`);
		}
		before = steps.length;
		for (const step of steps) {
			await status.stepStarted(entry.name, step);
			await door.apply(step);
			if (step.do === 'reboot') return true;
		}
	}
}

/** Brings the machine to where every phase has nothing to do. The first failure ends the sequence and is in the status. */
export async function converge(
	sequence: readonly Entry[],
	machine: Machine,
	door: Door,
	status: Status,
): Promise<boolean> {
	for (const entry of sequence) {
		status.phaseStarted(entry.name);
		try {
			if (await convergePhase(entry, machine, door, status)) break;
		} catch (error) {
			await status.phaseFailed(entry.name, error);
			return false;
		}
	}
	return true;
}
