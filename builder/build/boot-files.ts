import {copyFile} from 'node:fs/promises';
import {join} from 'node:path';
import {run} from '../run.ts';

/** What boots the medium, taken byte for byte out of Debian's packages in the image. */
const bootFiles = {
	'shimx64.efi.signed': 'usr/lib/shim/shimx64.efi.signed',
	'mmx64.efi.signed': 'usr/lib/shim/mmx64.efi.signed',
	'gcdx64.efi.signed': 'usr/lib/grub/x86_64-efi-signed/gcdx64.efi.signed',
	'grubnetx64.efi.signed': 'usr/lib/grub/x86_64-efi-signed/grubnetx64.efi.signed',
	'boot_hybrid.img': 'usr/lib/grub/i386-pc/boot_hybrid.img',
} as const;

/** What makeBootFiles reads below a root file system. */
export const bootSources = [...Object.values(bootFiles), 'usr/lib/grub/i386-pc'];

/** Modules that read a menu and boot what it says; built in, because nothing else carries modules. */
const commonModules = [
	...['normal', 'configfile', 'linux', 'serial', 'terminal', 'echo', 'test', 'gzio', 'all_video', 'gfxterm', 'sleep'],
	...['reboot', 'halt', 'ls', 'true'],
];
const discModules = [
	...['biosdisk', 'iso9660', 'part_gpt', 'part_msdos', 'fat', 'ext2', 'search', 'search_fs_file', 'search_fs_uuid'],
	'loadenv',
];
const netModules = [
	'pxe',
	'tftp',
	'http',
	'net',
	'regexp',
	'smbios',
	'biosdisk',
	'part_gpt',
	'ext2',
	'search',
	'search_label',
];

/** GRUB for BIOS: one that is on the medium, and one that a network card fetches. */
async function makeBiosImages(modules: string, folder: string): Promise<void> {
	const make = (format: string, prefix: string, file: string, own: readonly string[]) => {
		const options = ['--directory', modules, '--format', format, '--prefix', prefix, '--output', join(folder, file)];
		return run(['grub-mkimage', ...options, ...commonModules, ...own]);
	};
	await make('i386-pc-eltorito', '/boot/grub', 'bios.img', discModules);
	await make('i386-pc-pxe', '(pxe)/grub', 'bringup.pxe', netModules);
}

/** A FAT image with shim and GRUB, and room for the log of a failed install. */
async function makeEfiImage(folder: string, epoch: number): Promise<void> {
	const image = join(folder, 'efi.img');
	// FAT has local times; without -m a copy is of the epoch, and not of when it came out of its package.
	const env = {SOURCE_DATE_EPOCH: String(epoch), TZ: 'UTC', MTOOLS_SKIP_CHECK: '1'};
	await run(
		['mformat', '-C', '-i', image, '-T', '32768', '-h', '64', '-s', '32', '-N', '62726e67', '-v', 'BRINGUP', '::'],
		{env},
	);
	await run(['mmd', '-i', image, '::EFI', '::EFI/BOOT'], {env});
	for (const [from, to] of [
		['shimx64.efi.signed', 'BOOTX64.EFI'],
		['gcdx64.efi.signed', 'grubx64.efi'],
		['mmx64.efi.signed', 'mmx64.efi'],
	] as const) {
		await run(['mcopy', '-i', image, join(folder, from), `::EFI/BOOT/${to}`], {env});
	}
}

/** Makes the boot images of a medium in a folder, from Debian's packages in a root file system: shim, GRUB, the EFI partition. */
export async function makeBootFiles(root: string, folder: string, epoch: number): Promise<void> {
	for (const [name, path] of Object.entries(bootFiles)) await copyFile(join(root, path), join(folder, name));
	await makeBiosImages(join(root, 'usr/lib/grub/i386-pc'), folder);
	await makeEfiImage(folder, epoch);
}
