import {askedFile, planBootNext} from '../boot-entries.ts';
import {chooseDisk, installSchema} from '../disks.ts';
import {isInstalled, partitionPath, partitions, readLayout, readSignatures, readTable} from '../layout.ts';
import {type Phase, readMounts} from '../phase.ts';

const esp = '/run/bringup/esp';

/** On the medium: a disk that this very medium has installed is booted. Its GRUB does that where the firmware shows it the disk. */
export const bootInstalled: Phase<typeof installSchema> = {
	schema: installSchema,
	packages: ['mount', 'efibootmgr', 'util-linux'],
	async plan(config, probe) {
		const disk = await chooseDisk(config, probe);
		const layout = await readLayout(probe, disk);
		const table = await readTable(probe, disk.path, await readSignatures(probe, disk.path));
		if (!isInstalled(table, layout)) return [];
		if (!(await readMounts(probe)).includes(esp)) {
			const device = partitionPath(disk, partitions.esp);
			const command = ['mount', '-o', 'X-mount.mkdir', '-t', 'vfat', device, esp] as const;
			return [{do: 'run', command, why: `look into the EFI partition of the system that is installed on ${disk.name}`}];
		}
		const next = (await probe.list(`${esp}/bringup`))?.has(askedFile.replace(/^.*\//, ''))
			? []
			: await planBootNext(esp, layout, probe);
		if (next.length === 0)
			throw new Error(
				`${disk.name} was installed by this very medium, and the firmware boots the medium all the same. Remove the medium and boot the disk; to install it anew, build the medium again with a changed profile, or erase the disk (wipefs --all)`,
			);
		return [
			...next,
			{do: 'run', command: ['umount', esp], why: 'unmount it'},
			{do: 'reboot', why: `boot the system that is installed on ${disk.name}`},
		];
	},
};
