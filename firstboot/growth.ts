import {findDevice} from './devices.ts';
import {readBlockDevices} from './disks.ts';
import {type Probe, readMounts, type Step} from './phase.ts';
import type {Storage} from './volumes.ts';

/** A file system of btrfs on a volume of so many bytes, as it will be by then, is made to fill it; one that is not mounted cannot be. */
export async function planGrowth(
	storage: Storage,
	name: string,
	mount: string,
	bytes: number,
	probe: Probe,
): Promise<Step[]> {
	if (!(await readMounts(probe)).includes(mount)) return [];
	const path = findDevice(storage, name, await readBlockDevices(probe))?.path;
	const shown = await probe.output(['btrfs', 'filesystem', 'show', '--raw', mount]);
	const devices = [...shown.matchAll(/devid\s+(\d+)\s+size\s+(\d+)\s+used\s+\d+\s+path\s+(\S+)/g)];
	const [, id, size] = devices.find(([, , , at]) => at === path) ?? (devices.length === 1 ? (devices[0] ?? []) : []);
	// It leaves less than this at the end of a device.
	if (id === undefined || Number(size) > bytes - 2 ** 20) return [];
	const command = ['btrfs', 'filesystem', 'resize', `${id}:max`, mount] as const;
	return [{do: 'run', command, why: `let the file system at ${mount} fill ${name}`}];
}
