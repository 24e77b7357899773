import {chooseDisk} from '../choice.ts';
import {readSignatures, readTable} from '../contents.ts';
import {type installSchema, target} from '../disks.ts';
import {isInstalled, partitionPath, partitions, readLayout} from '../layout.ts';
import {type Command, type Phase, type Probe, readMounts, type Step} from '../phase.ts';

const initrd = '/run/bringup/initrd.img';

/** What GRUB of the installed system would start first. */
interface Kernel {
	image: string;
	words: string;
	initrds: string[];
}

/** Reads the first entry of a menu that update-grub wrote. Throws when it has none. */
export function parseMenu(text: string): Kernel {
	const [, image, words = ''] = /^\s*linux\s+(\S+)[^\S\n]*(.*)$/m.exec(text) ?? [];
	const [, files] = /^\s*initrd\s+(.+)$/m.exec(text) ?? [];
	if (image === undefined || files === undefined)
		throw new Error(
			'the boot menu of the installed system (/boot/grub/grub.cfg) has no kernel; boot the disk without the medium',
		);
	return {image, words: words.replace(/\$\S+/g, '').trim(), initrds: files.trim().split(/\s+/)};
}

async function planKernel(probe: Probe): Promise<Step[]> {
	const menu = await probe.read(`${target}/boot/grub/grub.cfg`);
	const {image, words, initrds} = parseMenu(menu ?? '');
	const join = initrds.map((path, index): Command => {
		const more = index === 0 ? [] : ['oflag=append', 'conv=notrunc'];
		return ['dd', `if=${target}${path}`, `of=${initrd}`, 'bs=1M', 'status=none', ...more];
	});
	// As one file: kexec takes no second one.
	const steps = join.map((command): Step => ({do: 'run', command, why: 'read its initramfs'}));
	const load = ['--load', '--kexec-syscall-auto', `--initrd=${initrd}`, `--command-line=${words}`, `${target}${image}`];
	return [...steps, {do: 'run', command: ['kexec', ...load], why: 'load its kernel'}];
}

/**
 * On the medium: a disk that this very medium has installed is booted. GRUB on the medium does that where it sees the disk;
 * firmware with a fast boot shows it none, and may forget boot entries, so the kernel is started from here.
 */
export const bootInstalled: Phase<typeof installSchema> = {
	packages: ['mount', 'kexec-tools', 'coreutils', 'util-linux'],
	async plan(config, probe) {
		const disk = await chooseDisk(config, probe);
		const layout = await readLayout(probe, disk);
		const table = await readTable(probe, disk.path, await readSignatures(probe, disk.path));
		if (!isInstalled(table, layout)) return [];
		if (!(await readMounts(probe)).includes(target)) {
			const device = partitionPath(disk, partitions.root);
			const command: Command = ['mount', '-o', 'ro,X-mount.mkdir', '-t', 'ext4', device, target];
			return [{do: 'run', command, why: `mount the system that this medium has installed on ${disk.name}`}];
		}
		return [
			...(await planKernel(probe)),
			{do: 'run', command: ['umount', target], why: 'unmount it'},
			{do: 'reboot', kexec: true, why: `start it; to install anew, build the medium again with a changed profile`},
		];
	},
};
