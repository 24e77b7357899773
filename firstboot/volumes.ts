import * as z from 'zod';
import {selectorFields, size} from './disks.ts';
import {absolutePath, own} from './phase.ts';
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
	.describe(
		'its content may be erased once, when the disk is not ours yet; it must be named by its wwid or serial. Afterwards the word is spent: `/var/lib/bringup/claims/NAME.json` says which disk it was',
	);

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
						.describe(
							'a disk, an array, or GROUP/VOLUME; for btrfs several. For tools of YAML 1.1 write the name in quotes, `"on"`: they take it for true',
						),
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
