import * as z from 'zod';
import type {Disk} from './disks.ts';
import {type Probe, planFile, type Step} from './phase.ts';

/** What is on record of a data disk from the moment that it is taken under a name. */
const claimSchema = z.strictObject({
	serial: z.string(),
	wwids: z.array(z.string()),
	/** The identifier of the partition table that was made on it; a disk that was ours before has its own. */
	table: z.string().optional(),
	/** Whether `wipe` let its content go: what is found in something newly made on it may go too. */
	given: z.boolean(),
	/** Until its partition is there, `wipe` still counts; afterwards it is spent. */
	state: z.enum(['begun', 'done']),
});

export type Claim = z.output<typeof claimSchema>;

/** Where the claim of each name is. Removing the file gives `wipe` its meaning back. */
export const claimPath = (name: string) => `/var/lib/bringup/claims/${name}.json`;

/** What is on record of a name; undefined when nothing was ever taken under it. */
export async function readClaim(probe: Probe, name: string): Promise<Claim | undefined> {
	const text = await probe.read(claimPath(name));
	if (text === undefined) return undefined;
	try {
		return claimSchema.parse(JSON.parse(text));
	} catch (cause) {
		throw new Error(`${claimPath(name)}, which says what disk ${name} is, is damaged; nothing was changed`, {cause});
	}
}

/** The step that puts a claim on record, or none when it is. */
export const planClaim = (probe: Probe, name: string, claim: Claim, why: string): Promise<Step[]> =>
	planFile(probe, claimPath(name), `${JSON.stringify(claim, undefined, '\t')}\n`, why);

/** Whether the claim is of this disk; one without any identity is known by nothing. */
export function isClaimed({serial, wwids}: Claim, disk: Disk): boolean {
	if (disk.wwids.some(wwid => wwids.includes(wwid)) || (serial !== '' && serial === disk.serial)) return true;
	return serial === '' && wwids.length === 0 && disk.serial === '' && disk.wwids.length === 0;
}

/** What may be overwritten in a device that is being made: what its disks held, when that was given up, or only what has no signature. */
export type Making = 'given' | 'empty';

const makingPath = (name: string) => `/var/lib/bringup/making/${name.replace('/', '-')}`;

/** Whether what lies on a disk, an array or a volume of this name is being made, so that what a power cut left of it is nobody's. */
export async function readMaking(probe: Probe, name: string): Promise<Making | undefined> {
	const text = (await probe.read(makingPath(name)))?.trim();
	return text === 'given' || text === 'empty' ? text : undefined;
}

/** The step before the first that makes it. */
export const planMaking = (probe: Probe, name: string, making: Making): Promise<Step[]> =>
	planFile(probe, makingPath(name), `${making}\n`, `record that ${name} is being made`);

/** The step after the last: from then on what is there is somebody's. */
export async function planMade(probe: Probe, name: string): Promise<Step[]> {
	if ((await probe.read(makingPath(name))) === undefined) return [];
	return [{do: 'run', command: ['rm', '--force', makingPath(name)], why: `record that ${name} is made`}];
}
