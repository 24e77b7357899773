import {type Listed, type Phase, type Probe, readMounts, type Step} from '../phase.ts';
import type {storageSchema} from '../volumes.ts';

/** Before the file system is mounted, as a plan for a blank machine sees it, none is there. */
async function readSubvolumes(probe: Probe, mount: string): Promise<string[]> {
	if (!(await readMounts(probe)).includes(mount)) return [];
	// The root of every subvolume has the same inode number, and nothing else has it.
	const found = (await probe.list(mount)) ?? new Map<string, Listed>();
	return [...found].filter(([, {inode}]) => inode === '256').map(([name]) => name);
}

/** Subvolumes of btrfs; they lie below the mount of their file system. */
export const subvolumes: Phase<typeof storageSchema> = {
	packages: ['btrfs-progs'],
	async plan({filesystems}, probe) {
		const steps: Step[] = [];
		for (const {mount, subvolumes} of Object.values(filesystems).filter(({subvolumes}) => subvolumes.length > 0)) {
			const found = await readSubvolumes(probe, mount);
			for (const name of subvolumes.filter(name => !found.includes(name))) {
				const command = ['btrfs', 'subvolume', 'create', `${mount}/${name}`] as const;
				steps.push({do: 'run', command, why: `make the subvolume ${name} in ${mount}`});
			}
		}
		return steps;
	},
};
