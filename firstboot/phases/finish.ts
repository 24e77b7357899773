import {endedPath, type installSchema, target} from '../disks.ts';
import type {Phase} from '../phase.ts';

/** Leaves the record of the install on the disk, lets go of the disk, and boots it. */
export const finish: Phase<typeof installSchema> = {
	packages: ['mount', 'coreutils', 'systemd'],
	async plan(_config, _probe) {
		return [
			{
				do: 'run',
				command: ['cp', endedPath, `${target}/var/lib/bringup/install.json`],
				why: 'keep the record of this install',
			},
			{do: 'run', command: ['sync'], why: 'make everything durable'},
			{do: 'run', command: ['umount', '--recursive', target], why: 'unmount the installed system'},
			{do: 'reboot', why: 'boot the installed system'},
		];
	},
};
