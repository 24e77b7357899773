import {findHold, type Lost, lose} from './holding.ts';
import {PartsError, type Probe, rememberAnswers, type Step} from './phase.ts';
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

/** A phase that has changed something is planned again at most so often. */
const rounds = 10;

interface Plan {
	steps: Step[] | undefined;
	/** Why some of it could not be planned. */
	fault?: PartsError;
}

async function plan(entry: Entry, machine: Machine, probe: Probe): Promise<Plan> {
	try {
		return {steps: await planEntry(entry, machine, probe)};
	} catch (error) {
		if (error instanceof PartsError) return {steps: error.steps, fault: error};
		throw error;
	}
}

/** Does the steps in order, until one is a reboot. One that fails takes the others of its part with it; one of no part fails the phase. */
async function applySteps(
	entry: Entry,
	steps: readonly Step[],
	{door, status, failed}: {door: Door & {forget(): void}; status: Status; failed: Map<string, Error>},
): Promise<Step | undefined> {
	for (const step of steps) {
		if (step.part !== undefined && failed.has(step.part)) continue;
		await status.stepStarted(entry.name, step);
		if (step.do === 'reboot') return step;
		door.forget();
		try {
			await door.apply(step, line => status.say(`bringup: ${line}`));
		} catch (error) {
			if (step.part === undefined) throw error;
			failed.set(step.part, error instanceof Error ? error : new Error(String(error)));
			await status.stepFailed(entry.name, error);
		}
	}
	door.forget();
	return undefined;
}

/** Plans, applies, and plans again until nothing is left, or a reboot is. Throws when it comes to a plan that it had before. */
async function convergePhase(
	entry: Entry,
	machine: Machine,
	door: Door & {forget(): void},
	status: Status,
): Promise<Step | undefined> {
	const plans = new Set<string>();
	const failed = new Map<string, Error>();
	for (;;) {
		const {steps, fault} = await plan(entry, machine, door.probe);
		if (steps === undefined) {
			status.phaseSkipped(entry.name);
			return undefined;
		}
		const left = steps.filter(({part}) => part === undefined || !failed.has(part));
		if (left.length === 0) {
			const parts = new Map([...(fault?.parts ?? []), ...failed]);
			if (parts.size > 0) throw new PartsError(parts, []);
			status.phaseDone(entry.name);
			return undefined;
		}
		const text = JSON.stringify(left);
		if (plans.has(text) || plans.size === rounds)
			throw new Error(`does not converge; left to do: ${left.map(({why}) => why).join('; ')}`, {cause: fault});
		plans.add(text);
		const reboot = await applySteps(entry, left, {door, status, failed});
		if (!reboot) continue;
		status.phaseDone(entry.name);
		return reboot;
	}
}

/** Brings the machine to where every phase has nothing to do. What fails is in the status, and holds back only what depends on it. */
export async function converge(
	sequence: readonly Entry[],
	machine: Machine,
	door: Door,
	status: Status,
): Promise<Outcome> {
	const remembering = {...door, ...rememberAnswers(door.probe)};
	const lost: Lost = {phases: new Map(), parts: new Map()};
	let done = true;
	for (const entry of sequence) {
		const hold = findHold(entry, machine, lost);
		if (hold.whole && machine[entry.section] !== undefined) {
			status.phaseHeld(entry.name, hold.by);
			lose(entry, machine, lost, hold);
			continue;
		}
		status.phaseStarted(entry.name, hold.by);
		try {
			const reboot = await convergePhase(entry, hold.machine, remembering, status);
			if (reboot) return {done, reboot};
		} catch (error) {
			done = false;
			remembering.forget();
			lose(entry, hold.machine, lost, {error});
			await status.phaseFailed(entry.name, error);
		}
	}
	return {done};
}

/** What a sequence would do to one phase. */
export interface Preview {
	phase: string;
	steps: Step[];
	/** Why it, or some of it, cannot be planned. */
	fault?: string;
	/** The phases that would fail and hold it back, or leave it less to do. */
	heldBy?: readonly string[];
}

/** What the sequence would do on the machine as found, without doing any. What cannot be planned holds back what depends on it. */
export async function previewSequence(sequence: readonly Entry[], machine: Machine, given: Probe): Promise<Preview[]> {
	const {probe} = rememberAnswers(given);
	const lost: Lost = {phases: new Map(), parts: new Map()};
	const previews: Preview[] = [];
	for (const entry of sequence) {
		const phase = entry.name;
		const hold = findHold(entry, machine, lost);
		const held = hold.by.length > 0 ? {heldBy: hold.by} : {};
		if (hold.whole && machine[entry.section] !== undefined) {
			lose(entry, machine, lost, hold);
			previews.push({phase, steps: [], ...held});
			continue;
		}
		try {
			const {steps, fault} = await plan(entry, hold.machine, probe);
			if (fault) lose(entry, hold.machine, lost, {error: fault});
			if (steps) previews.push({phase, steps, ...held, ...(fault ? {fault: fault.message} : {})});
		} catch (error) {
			lose(entry, hold.machine, lost, {error});
			previews.push({phase, steps: [], ...held, fault: error instanceof Error ? error.message : String(error)});
		}
	}
	return previews;
}
