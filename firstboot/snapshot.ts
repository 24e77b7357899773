import {statSync} from 'node:fs';
import type {Command, Probe} from './phase.ts';
import {type Machine, planSequence, sequences} from './sequence.ts';

/**
 * What a process that starts from a snapshot of Node's heap knows: the sections of the profile, read from this very
 * text, and what a run with nothing to do asks the machine.
 */
export interface Known {
	text: string;
	/** What tells these very files of the program and of the packages from later ones. */
	stamp: string;
	machine: Machine;
	questions: readonly Command[];
}

/** Of the program and of the list of packages: a later file of the same name has another. */
export function readStamp(): string {
	const files = ['/usr/lib/bringup/firstboot.cjs', '/var/lib/dpkg/status'].map(path => statSync(path, {bigint: true}));
	return files.map(({ino, size, ctimeNs}) => `${ino} ${size} ${ctimeNs}`).join('\n');
}

/** Goes through a run with nothing to do, and remembers what it asked. Undefined when something is left to do. */
export async function learn(known: Omit<Known, 'questions'>, probe: Probe): Promise<Known | undefined> {
	const times = new Map<Command, number>();
	const output = async (command: Command) => {
		const began = performance.now();
		const answer = await probe.output(command);
		times.set(command, performance.now() - began);
		return answer;
	};
	const plans = await planSequence(sequences.provision, known.machine, {...probe, output});
	// What takes longest is asked first: so all are answered soonest.
	const questions = [...times.keys()].sort((a, b) => (times.get(b) ?? 0) - (times.get(a) ?? 0));
	return plans.some(({steps}) => steps.length > 0) ? undefined : {...known, questions};
}

type Plans = Awaited<ReturnType<typeof planSequence>>;

/** A probe that keeps the last answer to each question, and one that gives these again. */
function keepAnswers(probe: Probe): {asking: Probe; again: Probe} {
	const last = new Map<string, Promise<unknown>>();
	const pair = <Arguments extends unknown[], Answer>(
		name: string,
		ask: (...given: Arguments) => Promise<Answer>,
	): [typeof ask, typeof ask] => {
		const key = (given: Arguments) => JSON.stringify([name, ...given]);
		const keep = (...given: Arguments) => {
			const answer = ask(...given);
			last.set(key(given), answer);
			return answer;
		};
		return [keep, (...given) => (last.get(key(given)) as Promise<Answer> | undefined) ?? ask(...given)];
	};
	const [output, outputAgain] = pair('output', probe.output);
	const [read, readAgain] = pair('read', probe.read);
	const [readBytes, readBytesAgain] = pair('readBytes', probe.readBytes);
	const [list, listAgain] = pair('list', probe.list);
	return {
		asking: {output, read, readBytes, list},
		again: {output: outputAgain, read: readAgain, readBytes: readBytesAgain, list: listAgain},
	};
}

/**
 * The machine as it answers to the known questions, which are all asked beside each other; undefined when something is
 * left to do. The probe answers what was answered here: who plans again comes to the same.
 */
export async function recall(
	{machine, questions}: Known,
	probe: Probe,
): Promise<{probe: Probe; plans: Plans} | undefined> {
	const answers = new Map(questions.map(command => [JSON.stringify(command), probe.output(command)]));
	for (const answer of answers.values()) answer.catch(() => {}); // of a question that is not asked any more
	const output = (command: Command) => answers.get(JSON.stringify(command)) ?? probe.output(command);
	const {asking, again} = keepAnswers({...probe, output});
	const plans = await planSequence(sequences.provision, machine, asking);
	return plans.some(({steps}) => steps.length > 0) ? undefined : {probe: again, plans};
}
