import {installSchema} from '../disks.ts';
import {finishedName, partitions, readSignatures, readTable, unfinishedName} from '../layout.ts';
import type {Phase} from '../phase.ts';

interface Node {
	path: string;
	type: string;
	mountpoints: (string | null)[];
	children?: Node[];
}

/** The disk that / stands on, when / is a partition of it. */
function findRootDisk(nodes: readonly Node[]): string | undefined {
	const holder = nodes.find(({children}) =>
		children?.some(({type, mountpoints}) => type === 'part' && mountpoints.includes('/')),
	);
	return holder?.path;
}

/** The system has booted from the disk: from now on the disk holds somebody's data, and no medium takes it for an unfinished install. */
export const seal: Phase<typeof installSchema> = {
	schema: installSchema,
	packages: ['fdisk', 'util-linux'],
	async plan(_config, probe) {
		// Without NAME lsblk prints a list and not a tree.
		const output = await probe.output(['lsblk', '--json', '--output', 'NAME,PATH,TYPE,MOUNTPOINTS']);
		const disk = findRootDisk((JSON.parse(output) as {blockdevices: Node[]}).blockdevices);
		if (disk === undefined) return [];
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
