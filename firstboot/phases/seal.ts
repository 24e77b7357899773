import {installSchema, readBlockDevices} from '../disks.ts';
import {finishedName, partitions, readSignatures, readTable, unfinishedName} from '../layout.ts';
import type {Phase} from '../phase.ts';

/** The system has booted from the disk: from now on the disk holds somebody's data, and no medium takes it for an unfinished install. */
export const seal: Phase<typeof installSchema> = {
	schema: installSchema,
	packages: ['fdisk', 'util-linux'],
	async plan(_config, probe) {
		const holder = (await readBlockDevices(probe)).find(({children}) =>
			children?.some(({type, mountpoints}) => type === 'part' && mountpoints.includes('/')),
		);
		if (!holder?.children?.some(({partlabel}) => partlabel === unfinishedName)) return [];
		const disk = holder.path;
		const table = await readTable(probe, disk, await readSignatures(probe, disk));
		if (!table?.partitions.some(({number, name}) => number === partitions.root && name === unfinishedName)) return [];
		const command = [
			'sfdisk',
			'--no-reread',
			'--no-tell-kernel',
			'--part-label',
			disk,
			`${partitions.root}`,
			finishedName,
		] as const;
		return [{do: 'run', command, why: 'mark the install on the disk as finished'}];
	},
};
