import {chooseLinks, findFree, networkSchema, readLinks} from '../links.ts';
import {resolveHostname} from '../names.ts';
import type {Phase, Step} from '../phase.ts';
import {checkAccounts, identitySchema} from '../users.ts';

/** Before anything is erased: can the installed machine be who the profile says? */
export const name: Phase<typeof identitySchema> = {
	schema: identitySchema,
	packages: ['iproute2'],
	async plan(config, probe) {
		if (config.hostname !== undefined) await resolveHostname(config.hostname, probe);
		await checkAccounts(config.users, probe);
		if ((await probe.read(`/usr/share/zoneinfo/${config.timezone}`)) === undefined) {
			throw new Error(
				`identity.timezone: this image has no time zone ${config.timezone}; take another in the profile, and build the medium again`,
			);
		}
		return [];
	},
};

/** Which wired links have a cable is known of links that are up only. Before anything is erased: is each role one link? */
export const link: Phase<typeof networkSchema> = {
	schema: networkSchema,
	packages: ['iproute2', 'grep'],
	async plan(config, probe) {
		const links = await readLinks(probe);
		const open = findFree(config, links).filter(
			({role, free}) => free.length > 1 && !free.some(({name, carrier}) => name === role || carrier),
		);
		const down = new Set(open.flatMap(({free}) => free.filter(({up}) => !up)));
		if (down.size === 0) {
			await chooseLinks(config, probe);
			return [];
		}
		const carriers = [...down].map(({name}) => `/sys/class/net/${name}/carrier`);
		return [
			...[...down].map(
				({name}): Step => ({
					do: 'run',
					command: ['ip', 'link', 'set', 'dev', name, 'up'],
					why: `take ${name} up to see whether it has a cable`,
				}),
			),
			{
				do: 'wait',
				until: ['grep', '--quiet', '1', ...carriers],
				seconds: 20,
				why: 'wait for the first link with a cable',
			},
		];
	},
};
