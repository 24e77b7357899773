import {hardeningSchema} from '../hardening.ts';
import type {Phase} from '../phase.ts';
import {planRecovery} from '../recovery.ts';

/** The way in at the console. It stands before all that can fail, because it is for the machine on which something did. */
export const recovery: Phase<typeof hardeningSchema> = {
	schema: hardeningSchema,
	packages: ['passwd', 'sudo', 'coreutils'],
	async plan(config, probe) {
		const steps = config.recovery ? await planRecovery(probe) : [];
		if (steps.length === 0) return [];
		return [...steps, {do: 'run', command: ['sync', '--file-system', '/etc'], why: 'make it durable'}];
	},
};
