import {chooseLink, networkSchema} from '../links.ts';
import {resolveHostname} from '../names.ts';
import type {Phase} from '../phase.ts';
import {identitySchema} from '../users.ts';

/** Before anything is erased: can the installed machine be named? */
export const name: Phase<typeof identitySchema> = {
	schema: identitySchema,
	packages: ['iproute2'],
	async plan(config, probe) {
		await resolveHostname(config.hostname, probe);
		return [];
	},
};

/** Before anything is erased: will the installed machine know its management link? */
export const link: Phase<typeof networkSchema> = {
	schema: networkSchema,
	packages: ['iproute2'],
	async plan(config, probe) {
		await chooseLink(config, probe);
		return [];
	},
};
