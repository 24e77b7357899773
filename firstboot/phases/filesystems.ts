import {type Making, planMade, planMaking, readMaking} from '../claims.ts';
import {type Contents, formatContents, isBlank, readContents} from '../contents.ts';
import {findPlace, formatDifference, type Place, readContent} from '../devices.ts';
import {flatten, readBlockDevices} from '../disks.ts';
import {planActivation, readReport} from '../lvm.ts';
import {type Command, type Phase, type Probe, planParts, type Step} from '../phase.ts';
import type {FileSystem, Storage, storageSchema} from '../volumes.ts';

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

/** A device that the file system is on, what stands there, and whether it is being made. */
interface Device {
	name: string;
	place: Place;
	content: Contents | undefined;
	making: Making | undefined;
}

async function readDevice(storage: Storage, name: string, probe: Probe): Promise<Device> {
	const [place, content] = [await findPlace(storage, name, probe), await readContent(storage, name, probe)];
	// udev may still know the label of before.
	const isHalf = content?.signatures.some(({type, label}) => type === 'xfs' && label === unfinished);
	return {
		name,
		place,
		content: isHalf ? await readContents(probe, place.path) : content,
		making: await readMaking(probe, name),
	};
}

/** It is mounted by its label, which no other disk may have: udev would link to the one that it saw last. */
async function checkLabel(name: string, on: readonly Device[], probe: Probe): Promise<void> {
	const devices = await readBlockDevices(probe);
	const own = on.map(({place}) => place.node?.path);
	const other = devices.flatMap(flatten).find(({label, fstype, path}) => {
		return label === name && fstype !== 'linux_raid_member' && !own.includes(path);
	});
	if (other)
		throw formatDifference(
			`the file system ${name}`,
			`the only one of that label, on ${on.map(({name}) => name).join(', ')}`,
			`another on ${other.path}`,
			'take that disk out, or give its file system another label',
		);
}

/** Whether what stands on a device may be written over: nothing does, or what is left of its own making. */
function isFree(type: string, label: string, {content, making}: Device): boolean {
	if (!content || isBlank(content)) return true;
	if (type === 'xfs' && content.signatures.every(one => one.type === 'xfs' && one.label === unfinished) && !content.raw)
		return true;
	if (making === undefined) return false;
	const ownHalf = content.signatures.every(one => one.type === type && (!one.label || one.label === label));
	return making === 'given' || content.raw || ownHalf;
}

async function planMake(name: string, system: FileSystem, devices: readonly Device[], probe: Probe): Promise<Step[]> {
	const onDisks = devices.flatMap(({place}) => place.on);
	const where = devices.map(({name}) => name).join(', ');
	const begin = await Promise.all(devices.map(({name, making = 'empty'}) => planMaking(probe, name, making)));
	const clear = devices
		.filter(({content}) => content && content.signatures.length > 0)
		.map(({name: device, place, content}): Step => {
			const what = content ? formatContents(content) : '';
			const why = `remove what is half made, or was let go, on ${device}: ${what}`;
			return {do: 'run', command: ['wipefs', '--all', place.path], on: place.on, why};
		});
	const paths = devices.map(({place}) => place.path);
	const make = listMake(name, system, paths).map(
		(command): Step => ({
			do: 'run',
			command,
			on: onDisks,
			why: command[0].startsWith('mkfs') ? `make ${system.type} "${name}" on ${where}` : `name it ${name}`,
		}),
	);
	const settle: Step = {do: 'run', command: ['udevadm', 'settle'], why: 'let udev see its label'};
	return [...begin.flat(), ...clear, ...make, settle];
}

async function planFileSystem(storage: Storage, name: string, probe: Probe): Promise<Step[]> {
	const system = storage.filesystems[name] as FileSystem;
	const on = [system.on].flat();
	const volumes = on.filter(one => one.includes('/'));
	const unseen = (await Promise.all(volumes.map(one => findPlace(storage, one, probe)))).some(({node}) => !node);
	// A volume that exists and is no device holds whatever it holds.
	const activate = unseen ? await planActivation(storage, volumes, await readReport(probe), probe) : [];
	if (activate.length > 0) return activate;
	const devices = await Promise.all(on.map(one => readDevice(storage, one, probe)));
	await checkLabel(name, devices, probe);
	const isMade = ({content}: Device) =>
		content?.signatures.some(({type, label}) => type === system.type && label === name) ?? false;
	if (devices.every(isMade)) return (await Promise.all(on.map(one => planMade(probe, one)))).flat();
	if (devices.every(device => isFree(system.type, name, device))) return planMake(name, system, devices, probe);
	const paths = devices.map(({place}) => place.path);
	throw formatDifference(
		`the file system ${name}`,
		`${system.type} "${name}" on ${on.join(', ')}`,
		devices
			.map(({name, content}) => `${name}: ${content && !isBlank(content) ? formatContents(content) : 'blank'}`)
			.join(', '),
		`nothing was changed. If what is there may go: wipefs --all ${paths.join(' ')}`,
	);
}

/** The file systems of the data disks. */
export const filesystems: Phase<typeof storageSchema> = {
	packages: ['e2fsprogs', 'xfsprogs', 'btrfs-progs', 'util-linux', 'udev'],
	async plan(storage, probe) {
		return planParts(Object.keys(storage.filesystems), name => planFileSystem(storage, name, probe));
	},
};
