import {chooseLink, networkSchema} from '../links.ts';
import {resolveHostname} from '../names.ts';
import type {Phase} from '../phase.ts';
import {checkAccounts, identitySchema} from '../users.ts';

/** Before anything is erased: can the installed machine be who the profile says? */
export const name: Phase<typeof identitySchema> = {
	schema: identitySchema,
	packages: ['iproute2'],
	async plan(config, probe) {
		await resolveHostname(config.hostname, probe);
		await checkAccounts(config.users, probe);
		if ((await probe.read(`/usr/share/zoneinfo/${config.timezone}`)) === undefined) {
			throw new Error(
				`identity.timezone: Debian has no time zone ${config.timezone}; names are as in: timedatectl list-timezones`,
			);
		}
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
