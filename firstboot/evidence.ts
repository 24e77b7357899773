import {listBlockDevices, target} from './disks.ts';
import {type Probe, readMounts, type Step} from './phase.ts';

interface Node {
	path: string;
	fstype: string | null;
	mountpoints: (string | null)[];
	children?: Node[];
}

/** The writable partition of the medium: the EFI partition of a stick. A CD has none. */
async function findMediumPartition(probe: Probe): Promise<string | undefined> {
	const {blockdevices} = JSON.parse(await probe.output(listBlockDevices)) as {blockdevices: Node[]};
	const isMedium = (node: Node): boolean =>
		node.mountpoints.some(mount => mount?.startsWith('/run/live/')) || Boolean(node.children?.some(isMedium));
	// The layers' loop devices are mounted below /run/live too; only a disk has partitions.
	const partitions = blockdevices.filter(isMedium).flatMap(({children}) => children ?? []);
	return partitions.find(({fstype}) => fstype === 'vfat')?.path;
}

/** The steps that keep the log of a failed install where a person can read it: on the stick, and on the disk where it has an ESP. */
export async function planEvidence({log, record}: {log: string; record: string}, probe: Probe): Promise<Step[]> {
	const local = '/run/bringup/install.log';
	const steps: Step[] = [{do: 'write', path: local, content: log, mode: 0o600, why: `keep the log in ${local}`}];
	const stick = await findMediumPartition(probe);
	if (stick !== undefined) {
		// mtools, because the kernel refuses to mount a partition of a disk that is mounted whole.
		const command = ['mcopy', '-o', '-i', stick, local, '::install.log'] as const;
		steps.push({do: 'run', command, why: `keep the log on the medium's EFI partition: ${stick}, install.log`});
	}
	if ((await readMounts(probe)).includes(`${target}/boot/efi`)) {
		const path = `${target}/boot/efi/bringup/install.log`;
		steps.push({
			do: 'write',
			path,
			content: log,
			mode: 0o600,
			why: "keep the log on the disk's EFI partition: bringup/install.log",
		});
	}
	if ((await readMounts(probe)).includes(target)) {
		const path = `${target}/var/lib/bringup/install.json`;
		steps.push({do: 'write', path, content: record, mode: 0o644, why: 'keep the record of this install on the disk'});
	}
	return [...steps, {do: 'run', command: ['sync'], why: 'make the log durable'}];
}
