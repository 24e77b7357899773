import type {Command, Probe} from './phase.ts';
import {type Machine, planSequence, sequences} from './sequence.ts';

type Plans = Awaited<ReturnType<typeof planSequence>>;

/**
 * What a process that starts from a snapshot of Node's heap knows: the sections of the profile, read from this very
 * text, and what a run with nothing to do asks the machine.
 */
export interface Known {
	text: string;
	machine: Machine;
	questions: readonly Command[];
}

/** Goes through a run with nothing to do, and remembers what it asked. Undefined when something is left to do. */
export async function learn(text: string, machine: Machine, probe: Probe): Promise<Known | undefined> {
	const times = new Map<Command, number>();
	const output = async (command: Command) => {
		const began = performance.now();
		const answer = await probe.output(command);
		times.set(command, performance.now() - began);
		return answer;
	};
	const plans = await planSequence(sequences.provision, machine, {...probe, output});
	// What takes longest is asked first: so all are answered soonest.
	const questions = [...times.keys()].sort((a, b) => (times.get(b) ?? 0) - (times.get(a) ?? 0));
	return plans.some(({steps}) => steps.length > 0) ? undefined : {text, machine, questions};
}

/**
 * The machine as it answers to the known questions, which are all asked beside each other; undefined when something is
 * left to do.
 */
export async function recall(
	{machine, questions}: Known,
	probe: Probe,
	askBeside: Probe['output'],
): Promise<{probe: Probe; plans: Plans} | undefined> {
	const answers = new Map(questions.map(command => [JSON.stringify(command), askBeside(command)]));
	for (const answer of answers.values()) answer.catch(() => {}); // of a question that is not asked any more
	const output = (command: Command) => answers.get(JSON.stringify(command)) ?? probe.output(command);
	const known: Probe = {...probe, output};
	const plans = await planSequence(sequences.provision, machine, known);
	return plans.some(({steps}) => steps.length > 0) ? undefined : {probe: known, plans};
}
