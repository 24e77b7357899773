import * as z from 'zod';
import type {Command, Probe} from './phase.ts';

const datasetName = z
	.string()
	.regex(
		/^[A-Za-z0-9][\w.-]*(\/[A-Za-z0-9][\w.-]*)*$/,
		'expected the name of a dataset below its pool, such as vm/web',
	);

/** Properties that may change at any time; zfsprops(7). */
const properties = z
	.partialRecord(
		z.enum([
			...([
				'atime',
				'compression',
				'copies',
				'dedup',
				'exec',
				'logbias',
				'primarycache',
				'quota',
				'recordsize',
			] as const),
			...(['refquota', 'refreservation', 'reservation', 'secondarycache', 'snapdir', 'sync'] as const),
		]),
		z.union([z.int().min(0), z.string().regex(/^[a-z0-9][A-Za-z0-9-]*$/)]).transform(String),
	)
	.default({});

const vdev = (member: z.ZodType<string, string>) =>
	z.strictObject({
		type: z.enum(['disk', 'mirror', 'raidz1', 'raidz2', 'raidz3']),
		members: z.array(member).min(1).describe('names of disks'),
	});

/** Pools of ZFS on the data disks of these names, mounted at such paths. */
export const poolsSchema = (disk: z.ZodType<string, string>, path: z.ZodType<string, string>) =>
	z
		.record(
			disk,
			z.strictObject({
				vdevs: z.array(vdev(disk)).min(1).describe('what the pool spreads its data over; later ones are added by hand'),
				properties: properties.describe('properties of ZFS for all that is in the pool'),
				datasets: z
					.record(
						datasetName,
						z.strictObject({
							mount: path
								.optional()
								.describe('where it is mounted; without one, below the dataset that it lies in, if that is'),
							properties: properties.describe('properties of ZFS; those that are not named are inherited'),
						}),
					)
					.default({})
					.describe('file systems by their name in the pool'),
			}),
		)
		.default({});

/** How the kernel is made to take the module of ZFS under Secure Boot. */
export const mokSchema = z
	.strictObject({
		password: z
			.string()
			.regex(/^[!-~]{8,64}$/, 'expected 8 to 64 characters of ASCII, without spaces')
			.describe('typed once at the console of each machine, which shows that a person is there; it opens nothing else'),
	})
	.describe(
		'each machine makes a key of its own (MOK), signs the module with it, and has a person at its console confirm the key once: at the next boot choose Enroll MOK',
	);

export type Pools = z.output<ReturnType<typeof poolsSchema>>;
export type Pool = Pools[string];

/** Whether the kernel has the module of ZFS; without it the programs of ZFS answer nothing. */
export async function isLoaded(probe: Probe): Promise<boolean> {
	return (await probe.read('/sys/module/zfs/version')) !== undefined;
}

/** One part of a pool, as ZFS has it. */
export interface Vdev {
	type: string;
	members: number;
}

/** Every pool with its parts, by name. Fields are separated by tabs, and lines of parts begin with one. */
const listPools: Command = ['zpool', 'list', '-v', '-H', '-P'];

/** The pools that are imported; none without the module. */
export async function readPools(probe: Probe): Promise<Map<string, Vdev[]>> {
	const pools = new Map<string, Vdev[]>();
	if (!(await isLoaded(probe))) return pools;
	for (const line of (await probe.output(listPools)).split('\n').filter(Boolean)) {
		const [pool, part = ''] = line.split('\t');
		const type = /^(mirror|raidz[123]|spare|logs|cache|special|dedup|draid)(-|$)/.exec(part)?.[1];
		const vdevs = [...pools.values()].at(-1) ?? [];
		const last = vdevs.at(-1);
		if (pool) pools.set(pool, []);
		else if (type) vdevs.push({type, members: 0});
		else if (last) last.members += 1;
		else vdevs.push({type: 'disk', members: 1});
	}
	return pools;
}
