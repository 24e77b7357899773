import {planBootNext} from '../boot-entries.ts';
import {chooseDisk, installSchema, target} from '../disks.ts';
import {readLayout} from '../layout.ts';
import type {Phase} from '../phase.ts';

const status = '/run/bringup/status.json';

/** Leaves the record of the install on the disk, lets go of the disk, and boots it. */
export const finish: Phase<typeof installSchema> = {
	schema: installSchema,
	packages: ['mount', 'coreutils', 'systemd', 'efibootmgr'],
	async plan(config, probe) {
		const layout = await readLayout(probe, await chooseDisk(config, probe));
		return [
			{
				do: 'run',
				command: ['cp', status, `${target}/var/lib/bringup/install.json`],
				why: 'keep the record of this install',
			},
			...(await planBootNext(`${target}/boot/efi`, layout, probe)),
			{do: 'run', command: ['sync'], why: 'make everything durable'},
			{do: 'run', command: ['umount', '--recursive', target], why: 'unmount the installed system'},
			{do: 'reboot', why: 'boot the installed system'},
		];
	},
};
