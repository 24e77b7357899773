import {flatten, readBlockDevices} from '../disks.ts';
import {readSignatures} from '../layout.ts';
import {type Command, type Phase, type Probe, planParts, type Step} from '../phase.ts';
import {
	devicePath,
	type FileSystem,
	findDevice,
	formatDifference,
	readContent,
	type Storage,
	storageSchema,
} from '../volumes.ts';

/** xfs looks whole to libblkid from the first moment of mkfs: until it is, it has this label. */
const unfinished = 'unfinished';

function listMake(name: string, {type, raid}: FileSystem, devices: readonly string[]): Command[] {
	const [first = ''] = devices;
	switch (type) {
		case 'ext4':
			return [['mkfs.ext4', '-q', '-L', name, first]];
		case 'xfs':
			return [
				['mkfs.xfs', '-q', '-L', unfinished, first],
				['xfs_admin', '-L', name, first],
			];
		case 'btrfs':
			return [['mkfs.btrfs', '--quiet', '--label', name, '--data', raid, ...metadata(raid, devices), ...devices]];
	}
}

/** Of one device btrfs keeps its metadata twice by itself. */
const metadata = (raid: string, devices: readonly string[]) =>
	devices.length > 1 ? ['--metadata', raid === 'single' ? 'raid1' : raid] : [];

/** What stands on each device. Before one is erased as half-made it is read itself: udev may still know the label of before. */
async function readContents(
	storage: Storage,
	on: readonly string[],
	probe: Probe,
): Promise<({type: string; label: string | null} | undefined)[]> {
	return Promise.all(
		on.map(async one => {
			const [found] = await readContent(storage, one, probe);
			if (found?.type !== 'xfs' || found.label !== unfinished) return found;
			return (await readSignatures(probe, devicePath(storage, one)))[0];
		}),
	);
}

/** It is mounted by its label, which no other disk may have: udev would link to the one that it saw last. */
async function checkLabel(storage: Storage, name: string, on: readonly string[], probe: Probe): Promise<void> {
	const devices = await readBlockDevices(probe);
	const own = on.map(one => findDevice(storage, one, devices)?.path);
	const other = devices.flatMap(flatten).find(({label, fstype, path}) => {
		return label === name && fstype !== 'linux_raid_member' && !own.includes(path);
	});
	if (other)
		throw formatDifference(
			`the file system ${name}`,
			`the only one of that label, on ${on.join(', ')}`,
			`another on ${other.path}`,
			'take that disk out, or give its file system another label',
		);
}

async function planFileSystem(storage: Storage, name: string, probe: Probe): Promise<Step[]> {
	const system = storage.filesystems[name] as FileSystem;
	const on = [system.on].flat();
	const devices = on.map(one => devicePath(storage, one));
	const contents = await readContents(storage, on, probe);
	await checkLabel(storage, name, on, probe);
	if (contents.every(found => found?.type === system.type && found.label === name)) return [];
	const half = system.type === 'xfs' && contents[0]?.type === 'xfs' && contents[0].label === unfinished;
	if (!half && contents.some(Boolean))
		throw formatDifference(
			`the file system ${name}`,
			`${system.type} "${name}" on ${on.join(', ')}`,
			contents
				.map((found, index) => `${on[index]}: ${found ? `${found.type} "${found.label ?? ''}"` : 'blank'}`)
				.join(', '),
			`nothing was changed. If what is there may go: wipefs --all ${devices.join(' ')}`,
		);
	const clear: Step[] = half
		? [{do: 'run', command: ['wipefs', '--all', ...devices], why: `remove the half-made file system ${name}`}]
		: [];
	const make = listMake(name, system, devices).map(
		(command): Step => ({
			do: 'run',
			command,
			why: command[0].startsWith('mkfs') ? `make ${system.type} "${name}" on ${on.join(', ')}` : `name it ${name}`,
		}),
	);
	return [...clear, ...make, {do: 'run', command: ['udevadm', 'settle'], why: 'let udev see its label'}];
}

/** The file systems of the data disks. */
export const filesystems: Phase<typeof storageSchema> = {
	schema: storageSchema,
	packages: ['e2fsprogs', 'xfsprogs', 'btrfs-progs', 'util-linux', 'udev'],
	async plan(storage, probe) {
		return planParts(Object.keys(storage.filesystems), name => planFileSystem(storage, name, probe));
	},
};
