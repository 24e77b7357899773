import {chooseDisk} from '../choice.ts';
import {readSignatures, readTable} from '../contents.ts';
import {type Disk, type installSchema, target} from '../disks.ts';
import {
	isBegun,
	isInstalled,
	type Layout,
	markOffset,
	markOffsetIn,
	partitions,
	planMark,
	readLayout,
	type Table,
} from '../layout.ts';
import {type Command, type Phase, type Probe, readMounts, type Step} from '../phase.ts';

const esp = `${target}/boot/efi`;
const removable = `${esp}/EFI/BOOT`;
const own = `${esp}/EFI/debian`;

function listMounts(uefi: boolean): {at: string; command: Command}[] {
	const mounts: [at: string, ...args: string[]][] = [
		[`${target}/dev`, '--bind', '/dev'],
		[`${target}/proc`, '-t', 'proc', 'proc'],
		[`${target}/sys`, '-t', 'sysfs', 'sysfs'],
	];
	if (uefi) mounts.push([`${target}/sys/firmware/efi/efivars`, '-t', 'efivarfs', 'efivarfs']);
	return mounts.map(([at, ...args]) => ({at, command: ['mount', ...args, at]}));
}

const chroot = (why: string, ...command: string[]): Step => ({do: 'run', command: ['chroot', target, ...command], why});
const run = (why: string, ...command: Command): Step => ({do: 'run', command, why});
const sync = (...paths: string[]) => run('make it durable', 'sync', '--file-system', ...paths);

/** Files only: no firmware boots them as long as there is neither an entry nor the removable path. */
function planFiles(uefi: boolean, bios: boolean, disk: Disk): Step[] {
	const forUefi = ['--target=x86_64-efi', '--efi-directory=/boot/efi', '--bootloader-id=debian', '--no-nvram'];
	return [
		...(uefi ? [chroot('install GRUB for UEFI', 'grub-install', ...forUefi)] : []),
		...(bios
			? [chroot('install GRUB for BIOS', 'grub-install', '--target=i386-pc', '--no-bootsector', disk.path)]
			: []),
		chroot('write the boot menu', 'update-grub'),
		sync(target, esp),
	];
}

/** What grub-install --force-extra-removable copies, the loader last: firmware that loses its entries starts it. */
function planRemovable(): Step[] {
	const loader = `${removable}/BOOTX64.EFI`;
	const others = ['grubx64.efi', 'mmx64.efi', 'fbx64.efi'].map(name => `${own}/${name}`);
	return [
		run('make the folder of the removable path', 'mkdir', '--parents', removable),
		run('copy GRUB to the removable path', 'cp', '--target-directory', removable, ...others),
		run('copy the signed loader beside it', 'cp', `${own}/shimx64.efi`, `${loader}.new`),
		sync(esp),
		run('let firmware start from the removable path', 'mv', `${loader}.new`, loader),
		sync(esp),
	];
}

/** The firmware's entry, as grub-install makes it. */
function planEntry(disk: Disk): Step {
	const place = ['--disk', disk.path, '--part', `${partitions.esp}`, '--loader', '\\EFI\\debian\\shimx64.efi'];
	return run('make the firmware entry', 'efibootmgr', '--quiet', '--create', ...place, '--label', 'debian');
}

/** The firmware's entries that start from this install's ESP, by number (efibootmgr(8)). */
async function findEntries({espPartUuid}: Layout, probe: Probe): Promise<string[]> {
	const text = await probe.output(['efibootmgr', '--verbose']);
	const entries = [...text.matchAll(/^Boot([0-9A-F]{4})\*? (.*)$/gim)];
	return entries.flatMap(([, number = '', rest = '']) =>
		rest.toLowerCase().includes(`gpt,${espPartUuid},`) ? [number] : [],
	);
}

/** Says on the disk that it is whole, for GRUB on the medium, and for the installer where GRUB does not see the disk. */
function planInstalled(disk: Disk, layout: Layout, table: Table | undefined): Step[] {
	const bios = table?.partitions.find(({number}) => number === partitions.bios);
	const offset = bios === undefined ? markOffset : markOffsetIn(bios);
	return [
		{
			do: 'write',
			path: `${esp}/bringup/installed-${layout.buildId}`,
			content: `set bringup_root=${layout.rootUuid}\n`,
			mode: 0o644,
			why: 'tell the medium that this disk is installed',
		},
		planMark(disk.path, offset, {state: 'installed', uuid: layout.rootPartUuid}, `mark ${disk.name} as installed`, [
			disk.on,
		]),
	];
}

/** An entry of an earlier install on this disk would start this one before it is whole. */
async function planNoEntries(layout: Layout, probe: Probe): Promise<Step[]> {
	const entries = await findEntries(layout, probe);
	return entries.map(number =>
		run('remove an old firmware entry', 'efibootmgr', '--quiet', '--bootnum', number, '--delete-bootnum'),
	);
}

/** Whether the machine was started by UEFI. */
async function isUefi(probe: Probe): Promise<boolean> {
	return (await probe.output(['ls', '/sys/firmware'])).split('\n').includes('efi');
}

/** Debian's signed shim and GRUB. Whatever makes the disk bootable comes last, when all else is durable. */
export const bootloader: Phase<typeof installSchema> = {
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
		const table = await readTable(probe, disk.path, await readSignatures(probe, disk.path));
		if (isInstalled(table, layout)) return [];
		const nvram = await isUefi(probe);
		const [uefi, bios] = [nvram || config.firmware === 'both', !nvram || config.firmware === 'both'];
		const mounted = await readMounts(probe);
		const mounts = listMounts(nvram).filter(({at}) => !mounted.includes(at));
		return [
			...mounts.map(({at, command}) => run(`mount ${at} for grub-install`, ...command)),
			// In a plan for a machine as found the disk has no ESP yet that an entry could lead to.
			...(nvram && isBegun(table, layout) ? await planNoEntries(layout, probe) : []),
			...planFiles(uefi, bios, disk),
			...(bios
				? [
						chroot(
							'write the boot sector',
							'/usr/lib/grub/i386-pc/grub-bios-setup',
							'--directory=/boot/grub/i386-pc',
							disk.path,
						),
					]
				: []),
			...(uefi ? planRemovable() : []),
			...(nvram ? [planEntry(disk)] : []),
			...planInstalled(disk, layout, table),
		];
	},
};
