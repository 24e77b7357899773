import type {hardeningSchema} from '../hardening.ts';
import type {Phase, Step} from '../phase.ts';
import {planNoRecovery, planRecovery} from '../recovery.ts';

const makeDurable = (steps: readonly Step[]): Step[] =>
	steps.length === 0 ? [] : [...steps, {do: 'run', command: ['sync', '--file-system', '/etc'], why: 'make it durable'}];

/** The way in at the console. It stands before all that can fail, because it is for the machine on which something did. */
export const recovery: Phase<typeof hardeningSchema> = {
	packages: ['passwd', 'sudo', 'coreutils'],
	async plan(config, probe) {
		return makeDurable(config.recovery ? await planRecovery(probe) : await planNoRecovery(probe));
	},
	absent: async probe => makeDurable(await planNoRecovery(probe)),
};
