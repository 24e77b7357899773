import type {Command} from './phase.ts';

/** What writes every block of a disk, or of an image. */
const slowest = new Set(['blkdiscard', 'qemu-img', 'dd']);

/** What goes over a whole disk, or a lot of files, or starts a program that does. */
const slow = new Set([
	...['mdadm', 'zpool', 'zfs', 'btrfs', 'lvcreate', 'lvextend', 'wipefs', 'fstrim', 'sync', 'mount', 'umount'],
	...['unsquashfs', 'tar', 'cp', 'install', 'find', 'rm', 'mcopy', 'sha256sum', 'dkms', 'depmod'],
	...['chroot', 'runuser', 'setpriv', 'unshare'],
]);

/** A question changes nothing, and is short wherever the machine is well. Emulated, and asked beside many others, it may take a minute. */
export const questionSeconds = 300;

/**
 * How long a program that changes the machine may take, in seconds. Nobody waits for so long where all is well: this is
 * for a disk that answers no more, or a service that hangs, seen from the slowest machine.
 */
export function limitOf([program]: Command): number {
	if (slowest.has(program)) return 24 * 3600;
	if (slow.has(program) || program.startsWith('mkfs.')) return 4 * 3600;
	// It waits for what a unit needs to start: TimeoutStartSec of containers and of libvirt's daemons.
	return program === 'systemctl' ? 3600 : 900;
}

/** A time as people say it. */
export function formatSeconds(seconds: number): string {
	if (seconds >= 7200) return `${Math.round(seconds / 3600)} hours`;
	return seconds >= 120 ? `${Math.round(seconds / 60)} minutes` : `${Math.round(seconds * 10) / 10} s`;
}
