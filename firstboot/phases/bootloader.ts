import {chooseDisk, installSchema, target} from '../disks.ts';
import {readLayout} from '../layout.ts';
import {type Command, type Phase, readMounts, type Step} from '../phase.ts';

const esp = `${target}/boot/efi`;

function listMounts(uefi: boolean): {at: string; command: Command}[] {
	const mounts: [at: string, ...args: string[]][] = [
		[`${target}/dev`, '--bind', '/dev'],
		[`${target}/proc`, '-t', 'proc', 'proc'],
		[`${target}/sys`, '-t', 'sysfs', 'sysfs'],
	];
	if (uefi) mounts.push([`${target}/sys/firmware/efi/efivars`, '-t', 'efivarfs', 'efivarfs']);
	return mounts.map(([at, ...args]) => ({at, command: ['mount', ...args, at]}));
}

const forUefi = [
	'--target=x86_64-efi',
	'--efi-directory=/boot/efi',
	'--bootloader-id=debian',
	'--force-extra-removable',
];

function planGrub(firmware: 'UEFI' | 'BIOS', where: readonly string[]): Step {
	return {do: 'run', command: ['chroot', target, 'grub-install', ...where], why: `install GRUB for ${firmware}`};
}

/** Debian's own grub-install: signed shim and GRUB, a firmware entry, and the removable path for firmware that loses its entries. */
export const bootloader: Phase<typeof installSchema> = {
	schema: installSchema,
	packages: [
		'grub-efi-amd64',
		'grub-efi-amd64-signed',
		'shim-signed',
		'grub-pc-bin',
		'grub2-common',
		'efibootmgr',
		'mount',
	],
	async plan(config, probe) {
		const disk = await chooseDisk(config, probe);
		const layout = await readLayout(probe, disk);
		const chain = `${esp}/bringup/installed-${layout.buildId}`;
		const content = `set bringup_root=${layout.rootUuid}\n`; // read by GRUB on the medium
		if ((await probe.read(chain)) === content) return [];
		const uefi = (await probe.output(['ls', '/sys/firmware'])).split('\n').includes('efi');
		const mounted = await readMounts(probe);
		const mounts = listMounts(uefi).filter(({at}) => !mounted.includes(at));
		const both = config.firmware === 'both';
		return [
			...mounts.map(({at, command}): Step => ({do: 'run', command, why: `mount ${at} for grub-install`})),
			...(uefi || both ? [planGrub('UEFI', [...forUefi, ...(uefi ? [] : ['--no-nvram'])])] : []),
			...(!uefi || both ? [planGrub('BIOS', ['--target=i386-pc', disk.path])] : []),
			{do: 'run', command: ['chroot', target, 'update-grub'], why: 'write the boot menu'},
			{do: 'run', command: ['sync', '--file-system', target, esp], why: 'make it durable'},
			{do: 'write', path: chain, content, mode: 0o644, why: 'tell the medium that this disk is installed'},
		];
	},
};
