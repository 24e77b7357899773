import * as z from 'zod';
import type {FalseFact} from './facts/fact.ts';
import {checkFacts} from './facts/facts.ts';
import {explainIssues, formatPath} from './facts/issues.ts';
import {clonePath, mergePatch} from './golden.ts';
import type {Probe} from './phase.ts';
import {type Machine, machineSchema} from './sequence.ts';

const machinePath = '/etc/bringup/machine.json';

/** The text of machine.json; of a clone, with what its seed says put over it. */
export async function readText(probe: Probe): Promise<string> {
	const text = await probe.read(machinePath);
	if (text === undefined)
		throw new Error(`${machinePath} is missing: this machine was not made by bringup, or its disk is damaged`);
	const patch = await probe.read(clonePath);
	if (patch === undefined) return text;
	const merged = mergePatch(
		parseJson(text, machinePath),
		parseJson(patch, `${clonePath}, which this clone's seed has written,`),
	);
	return JSON.stringify(merged);
}

function parseJson(text: string, what: string): unknown {
	try {
		return JSON.parse(text);
	} catch (error) {
		throw new Error(`${what} is no JSON: ${(error as Error).message}`);
	}
}

/** Every fault at once, each with its place. */
function refuse(faults: readonly FalseFact[]): Error {
	return new Error(
		[
			`${machinePath} has ${faults.length === 1 ? 'a fault' : `${faults.length} faults`}; nothing was changed`,
			...faults.map(({path, message}) => `${formatPath(path)}: ${message}`),
			'mend it there, and in the profile, which the next build is made from; bringup check tells the same of that',
		].join('\n'),
	);
}

/** The sections that the text holds, by their shape alone. */
function parseSections(text: string): Machine {
	z.config({jitless: true}); // what zod compiles for speed pays for itself at the hundredth time
	const value = parseJson(text, machinePath);
	const {success, data, error} = machineSchema.safeParse(value);
	if (!success) throw refuse(explainIssues(error.issues, value));
	return data;
}

/** The sections that the text holds. Throws what the schema and the facts refuse, before anything is changed. */
export function parseMachine(text: string): Machine {
	const machine = parseSections(text);
	// Of a golden image the build checked that it holds nothing of a machine's own; its clones do.
	const {image, ...sections} = machine;
	const faults = checkFacts(image ? {...sections, identity: undefined, kubernetes: undefined} : machine);
	if (faults.length > 0) throw refuse(faults);
	return machine;
}

/** What the machine is to be. */
export const readMachine = async (probe: Probe) => parseMachine(await readText(probe));

/** The same for what runs already, and must not stop because somebody changes another section and makes a mistake. */
export const readSections = async (probe: Probe) => parseSections(await readText(probe));
