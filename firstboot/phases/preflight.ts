import {chooseLinks, findUnsettled, formatSettled, type networkSchema, readLinks, settledPath} from '../links.ts';
import {resolveHostname} from '../names.ts';
import type {Phase, Step} from '../phase.ts';
import {checkAccounts, type identitySchema} from '../users.ts';

/** Before anything is erased: can the installed machine be who the profile says? */
export const name: Phase<typeof identitySchema> = {
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

/** Seconds from the first cable to the last: a port may negotiate that long after the quickest one is up. */
const settleSeconds = 12;

/**
 * Which wired links have a cable is known of links that are up only, and not at once. So all are taken up, and have their
 * time, before it counts which ones do: one machine has one answer. Before anything is erased: is each role one link?
 */
export const link: Phase<typeof networkSchema> = {
	packages: ['iproute2', 'grep', 'coreutils'],
	async plan(config, probe) {
		const links = await readLinks(probe);
		const open = findUnsettled(config, links);
		const settled = formatSettled(open);
		if (open.length === 0 || (await probe.read(settledPath)) === settled) {
			await chooseLinks(config, probe);
			return [];
		}
		const carriers = open.map(({name}) => `/sys/class/net/${name}/carrier`);
		return [
			...open
				.filter(({up}) => !up)
				.map(({name}): Step => {
					const command = ['ip', 'link', 'set', 'dev', name, 'up'] as const;
					return {do: 'run', command, why: `take ${name} up to see whether it has a cable`};
				}),
			{
				do: 'wait',
				until: ['grep', '--quiet', '1', ...carriers],
				seconds: 20,
				why: 'wait for the first link with a cable',
			},
			{do: 'run', command: ['sleep', String(settleSeconds)], why: 'let the other links find theirs'},
			{do: 'write', path: settledPath, content: settled, mode: 0o644, why: 'note that the links have settled'},
		];
	},
};
