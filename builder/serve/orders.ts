import * as z from 'zod';

/** What a machine is given for one boot: a word of its own, by which it gets its files and by which it reports. */
const grant = z.object({
	order: z.string(),
	token: z.string(),
	/** The network card that it was given to, as this workstation saw it on the wire. */
	mac: z.string(),
	buildId: z.string(),
	since: z.iso.datetime(),
	/** When something was asked for with it; a slow machine is one that still asks. */
	seen: z.iso.datetime(),
	/** Whether something secret was fetched with it. */
	used: z.boolean(),
	/** Whether nothing secret is given for it any more, because the machine said that it has all. */
	closed: z.boolean(),
});

export type Grant = z.output<typeof grant>;

/** What is known of one machine; a file of its own, for people too. */
export const entrySchema = z.object({
	/** The order that was carried out last. */
	fulfilled: z.string().optional(),
	/** The order that machines.yaml gives, and since when. */
	opened: z.object({order: z.string(), at: z.iso.datetime()}).optional(),
	/** The order under way. One that an earlier bringup began holds no grant of this form, and is begun again. */
	running: grant.optional().catch(undefined),
	state: z.enum(['known', 'booting', 'installing', 'installed', 'failed']),
	at: z.iso.datetime(),
	/** Of a failure: where, and what was said. */
	failure: z.string().optional(),
});

export type Entry = z.output<typeof entrySchema>;

export interface Times {
	/** How long after its last request something secret is given for a grant, and a used one keeps another from being given. Milliseconds. */
	grant: number;
	/** How long an order that is not begun stays open. Milliseconds. */
	order: number;
}

/** What a machine gets that boots from the network. */
export type Decision = {do: 'install' | 'boot its disk'} | {do: 'refuse'; why: 'closed' | 'busy'; until: number};

/** Decides by what is known of a machine. `isThere`: whether the tree of a build can still be given. */
export function decide(
	{fulfilled, opened, running, state}: Entry,
	order: string,
	now: number,
	times: Times,
	isThere: (buildId: string) => boolean,
): Decision {
	if (fulfilled === order) return {do: 'boot its disk'};
	if (running?.order === order && running.used && state !== 'failed' && isThere(running.buildId)) {
		const until = Date.parse(running.seen) + times.grant;
		if (now < until) return {do: 'refuse', why: 'busy', until};
	}
	// What was begun may be tried again; what nobody has begun for so long is not given to whoever comes.
	const until = (opened?.order === order ? Date.parse(opened.at) : now) + times.order;
	if (running?.order !== order && now > until) return {do: 'refuse', why: 'closed', until};
	return {do: 'install'};
}

/** Whether something secret may be given for a grant. */
export const isOpen = ({seen, closed}: Grant, now: number, times: Times) =>
	!closed && now < Date.parse(seen) + times.grant;
