import * as z from 'zod';
import type {Command, Probe} from './phase.ts';

const datasetName = z
	.string()
	.regex(
		/^[A-Za-z0-9][\w.-]*(\/[A-Za-z0-9][\w.-]*)*$/,
		'expected the name of a dataset below its pool, such as vm/web',
	);

const onOff = z.enum(['on', 'off']);
const cached = z.enum(['all', 'metadata', 'none']);
const space = z.string().regex(/^([1-9]\d*[KMGT]|none)$/, 'expected a size such as 100G, or none');

/** Properties that may change at any time, with the values that ZFS gives back as they were set; zfsprops(7). */
const properties = z
	.strictObject({
		atime: onOff,
		compression: z.enum(['on', 'off', 'lz4', 'zstd', 'gzip', 'zle']),
		copies: z.enum(['1', '2', '3']),
		dedup: z.enum(['on', 'off', 'verify']),
		exec: onOff,
		logbias: z.enum(['latency', 'throughput']),
		primarycache: cached,
		quota: space,
		recordsize: z.string().regex(/^([1-9]\d*K|1M|2M|4M|8M|16M)$/, 'expected a power of 2 from 4K to 16M'),
		refquota: space,
		refreservation: space,
		reservation: space,
		secondarycache: cached,
		snapdir: z.enum(['hidden', 'visible']),
		sync: z.enum(['standard', 'always', 'disabled']),
	})
	.partial()
	.transform(given => given as Record<string, string>)
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

/** A pool that is imported. */
export interface Imported {
	vdevs: {type: string; members: number}[];
	/** The devices that it lies on. */
	paths: string[];
	/** Whether it runs without some of them, and is not being mended. */
	degraded: boolean;
}

interface Vdev {
	state?: string;
	scan_stats?: {state?: string};
	class?: string;
	path?: string;
	vdevs?: Record<string, Vdev>;
}

const listPools: Command = ['zpool', 'status', '--json'];

const below = ({vdevs = {}}: Vdev) => Object.entries(vdevs);
const listPaths = (vdev: Vdev): string[] => [
	...(vdev.path ? [vdev.path] : []),
	...below(vdev).flatMap(([, part]) => listPaths(part)),
];

/** The pools that are imported, by name; none without the module. A disk that is being replaced is one member, with two paths. */
export async function readPools(probe: Probe): Promise<Map<string, Imported>> {
	if (!(await isLoaded(probe))) return new Map();
	const {pools = {}} = JSON.parse(await probe.output(listPools)) as {pools?: Record<string, Vdev>};
	return new Map(
		Object.entries(pools).map(([name, {vdevs, state = 'ONLINE', scan_stats: scan}]) => {
			const parts = below(vdevs?.[name] ?? {}).filter(([, part]) => (part.class ?? 'normal') === 'normal');
			return [
				name,
				{
					vdevs: parts.map(([part, vdev]) => {
						const type = /^(mirror|raidz[123])-/.exec(part)?.[1];
						return type ? {type, members: below(vdev).length} : {type: 'disk', members: 1};
					}),
					paths: parts.flatMap(([, part]) => listPaths(part)),
					degraded: state !== 'ONLINE' && scan?.state !== 'SCANNING',
				},
			];
		}),
	);
}

/** What bringup sets on a pool where the profile says nothing else. */
export const defaults = {
	mountpoint: 'none',
	canmount: 'off',
	compression: 'on',
	xattr: 'on', // which is sa, as ZFS calls it since 2.3
	acltype: 'posix',
	relatime: 'on',
};
