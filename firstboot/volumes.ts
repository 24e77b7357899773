import * as z from 'zod';
import {
	type Disk,
	explainDisks,
	findMismatch,
	flatten,
	type Node,
	readBlockDevices,
	readDisks,
	type Selector,
	selectorFields,
	size,
} from './disks.ts';
import {readSignatures} from './layout.ts';
import {absolutePath, own, type Probe} from './phase.ts';
import {mokSchema, poolsSchema} from './zfs.ts';

const name = z
	.string()
	.regex(
		/^[a-z][a-z0-9_]{0,11}$/,
		'expected a name: a letter, then lower case letters, digits and _, 12 characters at most',
	);

const wipe = z
	.boolean()
	.default(false)
	.describe('its content may be erased once, when it is not ours yet; what this profile made on it stays');

/** The section `storage`. */
export const storageSchema = z
	.strictObject({
		disks: z
			.record(
				name,
				z
					.strictObject({...selectorFields, wipe})
					.refine(
						({wipe: _, ...fields}) => Object.keys(fields).length > 0,
						'the selector is empty and would match any disk; give at least one field, such as serial',
					),
			)
			.describe('the data disks by a name of yours; every field given must match, and exactly one disk may'),
		arrays: z
			.record(
				name,
				z.strictObject({
					level: z.enum(['raid1', 'raid5', 'raid6', 'raid10']),
					members: z.array(name).min(2).describe('names of disks'),
				}),
			)
			.default({})
			.describe('RAID of md'),
		groups: z
			.record(
				name,
				z.strictObject({
					members: z.array(name).min(1).describe('names of disks or arrays'),
					volumes: z
						.record(
							name,
							z.strictObject({
								size: z.union([size, z.literal('rest')]).describe('`20G`, or `rest` for all that is left'),
							}),
						)
						.default({})
						.describe('logical volumes'),
				}),
			)
			.default({})
			.describe('volume groups of LVM'),
		filesystems: z
			.record(
				name,
				z.strictObject({
					on: z
						.union([z.string(), z.array(z.string()).min(1)])
						.describe('a disk, an array, or GROUP/VOLUME; for btrfs several'),
					type: z.enum(['ext4', 'xfs', 'btrfs']),
					raid: z.enum(['single', 'raid1', 'raid10']).default('single').describe('how btrfs spreads over several'),
					mount: absolutePath.describe(
						'where it is mounted; a boot without its disk waits a minute and a half, and goes on',
					),
					options: z
						.array(z.string().regex(/^\w[\w.=:-]*$/, 'expected a mount option such as noatime, one an item'))
						.default([])
						.describe('mount options'),
					subvolumes: z
						.array(z.string().regex(/^(?!\.{1,2}$)[\w.@-]+$/, 'expected a name such as photos'))
						.default([])
						.describe('of btrfs, below the mount'),
				}),
			)
			.default({})
			.describe('file systems by their label'),
		pools: poolsSchema(name, absolutePath).describe(
			'pools of ZFS by their name; Debian has it in the component contrib, and builds its module in the image',
		),
		mok: mokSchema.optional(),
	})
	.describe(
		'Data disks. Only ever added to: what is there as described is kept, what differs stops the phase, and foreign data too unless wipe is said. Installing the system anew keeps them.',
	);

export type Storage = z.output<typeof storageSchema>;
/** What the section makes; each of one kind has a name of its own. */
export type Kind = 'disks' | 'arrays' | 'groups' | 'filesystems' | 'pools';
export type FileSystem = Storage['filesystems'][string];

/** The name of the one partition of a data disk. */
export const partitionLabel = (disk: string) => `bringup-${disk}`;

/** The device behind a name of the profile: a disk's partition, an array, or GROUP/VOLUME. */
export function devicePath(storage: Storage, name: string): string {
	if (name.includes('/')) return `/dev/${name}`;
	return own(storage.arrays, name) ? `/dev/md/${name}` : `/dev/disk/by-partlabel/${partitionLabel(name)}`;
}

function refuseData(disk: Disk): string | undefined {
	const system = disk.mounts.find(mount => mount === '/' || mount.startsWith('/boot'));
	return disk.barred ?? (system === undefined ? undefined : `it is the system disk: mounted at ${system}`);
}

/**
 * The disk of each name, or why it has none, with every disk explained: exactly one must match. A disk that two names
 * match is neither's, whatever else is wrong with them.
 */
export async function chooseDataDisks({disks}: Storage, probe: Probe): Promise<Map<string, Disk | Error>> {
	const found = await readDisks(probe);
	const choices = Object.entries(disks).map(([name, {wipe: _, ...fields}]) => {
		const selector: Selector = fields;
		return {name, selector, matches: found.filter(disk => !refuseData(disk) && !findMismatch(selector, disk))};
	});
	const choose = ({name, selector, matches}: (typeof choices)[number]): Disk | Error => {
		const [only] = matches;
		if (!only || matches.length > 1)
			return new Error(
				[
					`storage.disks.${name} must match exactly one disk and matches ${matches.length}`,
					explainDisks(selector, found, refuseData),
					'no disk was touched for it; name the disk by its wwid or serial',
				].join('\n'),
			);
		const twin = choices.find(other => other.name !== name && other.matches.includes(only));
		if (!twin) return only;
		return new Error(
			`storage.disks.${[name, twin.name].sort().join(' and storage.disks.')} are the same disk, ${only.name}`,
		);
	};
	return new Map(choices.map(choice => [choice.name, choose(choice)]));
}

/** The partition of a data disk, with what is on it; undefined when there is none. Throws when there are two. */
export function findPartition(devices: readonly Node[], disk: string): Node | undefined {
	const label = partitionLabel(disk);
	const found = devices.flatMap(flatten).filter(({type, partlabel}) => type === 'part' && partlabel === label);
	const paths = [...new Set(found.map(({path}) => path))];
	if (paths.length > 1)
		throw new Error(`two partitions are named ${label}: ${paths.join(', ')}; take the disk of another machine out`);
	return found[0];
}

/** The device behind a name of the profile; undefined when it is not there (yet). */
export function findDevice(storage: Storage, name: string, devices: readonly Node[]): Node | undefined {
	const array = own(storage.arrays, name);
	if (array) {
		const members = array.members.flatMap(member => findPartition(devices, member) ?? []);
		return members.flatMap(flatten).find(({type}) => /^raid/.test(type));
	}
	if (!name.includes('/')) return findPartition(devices, name);
	return devices.flatMap(flatten).find(({type, name: own}) => type === 'lvm' && own === name.replace('/', '-'));
}

/**
 * What stands on the device of a name. What udev remembers of it counts where it remembers something; a device that looks
 * blank is read itself, because something will be made on it. One that is not there yet holds nothing.
 */
export async function readContent(
	storage: Storage,
	name: string,
	probe: Probe,
): Promise<{type: string; label: string | null}[]> {
	const device = findDevice(storage, name, await readBlockDevices(probe));
	if (device === undefined) return [];
	return device.fstype ? [{type: device.fstype, label: device.label}] : readSignatures(probe, device.path);
}

/** How a device stands against the profile, for a refusal. */
export function formatDifference(what: string, wanted: string, found: string, remedy: string): Error {
	return new Error(
		[`${what} is not as the profile says`, `  wanted  ${wanted}`, `  found   ${found}`, remedy].join('\n'),
	);
}
