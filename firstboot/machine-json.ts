import * as z from 'zod';
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
	return patch === undefined ? text : JSON.stringify(mergePatch(JSON.parse(text), parsePatch(patch)));
}

function parsePatch(text: string): unknown {
	try {
		return JSON.parse(text);
	} catch (error) {
		throw new Error(`${clonePath}, which this clone's seed has written, is no JSON: ${(error as Error).message}`);
	}
}

/** The sections that the text holds. */
export function parseMachine(text: string): Machine {
	z.config({jitless: true}); // what zod compiles for speed pays for itself at the hundredth time
	return machineSchema.parse(JSON.parse(text));
}

/** What the machine is to be. */
export const readMachine = async (probe: Probe) => parseMachine(await readText(probe));
