import * as z from 'zod';
import {size} from './disks.ts';

/** The section `image`. */
export const imageSchema = z
	.strictObject({
		size: size
			.default('4G')
			.describe("of its disk, and so the smallest that a clone's may be; a larger one is grown into at the first boot"),
		formats: z
			.array(z.enum(['qcow2', 'raw', 'vmdk', 'vhdx', 'ova']))
			.min(1)
			.default(['qcow2'])
			.describe('what is made of it; `qcow2` is compressed with zstd, `ova` is for VMware and VirtualBox'),
	})
	.describe(
		'A golden image: `bringup bake` makes it. Its clones get name, users, keys and network from a cloud-init seed (NoCloud or ConfigDrive); every other section is in force on each of them.',
	);

export type Image = z.output<typeof imageSchema>;

/** What no two clones may share, and what only the making of an image has left, by patterns of find(1), whose `*` stands for slashes too. */
export const traces = [
	...[
		'/etc/ssh/ssh_host_*_key*',
		'/etc/hostid',
		'/etc/nvme/hostid',
		'/etc/nvme/hostnqn',
		'/etc/popularity-contest.conf',
	],
	...['/var/lib/dbus/machine-id', '/var/lib/systemd/random-seed', '/var/lib/systemd/credential.secret'],
	...['/var/lib/systemd/network/*', '/var/lib/systemd/timers/*', '/var/lib/dhcp/*', '/var/lib/cloud/*'],
	...['/var/lib/apt/lists/*_*', '/var/cache/apt/*.bin', '/var/cache/apt/archives/*.deb', '/var/cache/bringup/*'],
	...['/var/log/journal/*', '/var/tmp/*', '/tmp/*'],
	...['/root/.*_history', '/home/*/.*_history', '/root/.cache', '/home/*/.cache'],
];
/** Of these the folders stay. */
export const logs = ['/var/log/*'];

/** What a seed may lay on a clone: a merge patch (RFC 7396) of the image's machine.json. */
export const clonePath = '/etc/bringup/clone.json';

/** Applies a merge patch: objects field by field, null takes a field away, anything else is put in its place (RFC 7396). */
export function mergePatch(target: unknown, patch: unknown): unknown {
	if (!isObject(patch)) return patch;
	const merged = new Map(Object.entries(isObject(target) ? target : {}));
	for (const [name, value] of Object.entries(patch)) {
		if (value === null) merged.delete(name);
		else merged.set(name, mergePatch(merged.get(name), value));
	}
	return Object.fromEntries(merged);
}

const isObject = (value: unknown): value is Record<string, unknown> =>
	typeof value === 'object' && value !== null && !Array.isArray(value);
