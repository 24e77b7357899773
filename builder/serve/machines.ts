import * as z from 'zod';
import {explainIssues} from '../profile/explain.ts';
import {ProfileError} from '../profile/faults.ts';
import {loadSource} from '../profile/source.ts';

const order = z.union([z.string().min(1).max(64), z.int()]).transform(String);

const machine = z
	.strictObject({
		mac: z
			.string()
			.transform(text => text.toLowerCase())
			.pipe(z.string().regex(/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/, 'expected a MAC address such as 52:54:00:12:34:56'))
			.optional()
			.describe('of the network card that it boots from'),
		serial: z.string().min(1).optional().describe('the serial number that its firmware tells'),
		uuid: z
			.string()
			.transform(text => text.toLowerCase())
			.pipe(z.string().regex(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/, 'expected a UUID'))
			.optional()
			.describe('the UUID that its firmware tells'),
		profile: z.string().min(1).describe('the profile of one of the trees'),
		order: order
			.default('1')
			.describe('it is installed once for each value: another value is a fresh order to install it anew'),
	})
	.refine(({mac, serial, uuid}) => mac ?? serial ?? uuid, 'give one of mac, serial, uuid, by which it is known');

const name = z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'expected a host name: letters, digits and -');

/** The file machines.yaml: which machine is which, and what it becomes. */
export const machinesSchema = z.strictObject({
	schema: z.literal(1),
	machines: z.record(name, machine).describe('by host name'),
});

export type Machines = z.output<typeof machinesSchema>['machines'];

/** What a machine says of itself when it boots over the network. */
export interface Identity {
	mac: string;
	serial?: string | undefined;
	uuid?: string | undefined;
}

/** Reads machines.yaml. Throws a ProfileError with every fault. */
export async function loadMachines(path: string, profiles: readonly string[]): Promise<Machines> {
	const {source, faults} = await loadSource(path);
	if (faults.length > 0) throw new ProfileError(faults);
	const result = machinesSchema.safeParse(source.value ?? {});
	if (!result.success) throw new ProfileError(explainIssues(result.error.issues, source));
	const unknown = Object.entries(result.data.machines)
		.filter(([, {profile}]) => !profiles.includes(profile))
		.map(([name, {profile}]) => {
			const at = ['machines', name, 'profile'];
			const message = `there is no tree of the profile ${profile}; there are: ${profiles.join(', ')}`;
			return {path: at.join('.'), message, place: source.find(at)};
		});
	if (unknown.length > 0) throw new ProfileError(unknown);
	return result.data.machines;
}

/** The one machine that this is: all that its entry gives must match. Undefined when none or several do. */
export function findMachine(machines: Machines, {mac, serial, uuid}: Identity): string | undefined {
	const matches = Object.entries(machines).filter(
		([, entry]) =>
			(entry.mac === undefined || entry.mac === mac) &&
			(entry.serial === undefined || entry.serial === serial) &&
			(entry.uuid === undefined || entry.uuid === uuid),
	);
	return matches.length === 1 ? matches[0]?.[0] : undefined;
}
