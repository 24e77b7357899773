import {type Disk, explainDisks, type Install, readDisks} from './disks.ts';
import {
	isBegun,
	type Layout,
	labels,
	markOffset,
	partitionPath,
	partitions,
	readMark,
	readSignatures,
	readTable,
	rootName,
	type Signature,
	type Table,
} from './layout.ts';
import type {Probe, Step} from './phase.ts';

/** Whether the disk holds nothing but an install of ours that never booted. */
async function isUnfinished(disk: Disk, table: Table | undefined, layout: Layout, probe: Probe): Promise<boolean> {
	const root = table?.partitions.find(({number}) => number === partitions.root);
	if (table?.id !== layout.tableId || root === undefined || table.mark?.uuid !== root.uuid) return false;
	const [onEsp, onRoot] = await Promise.all([
		readSignatures(probe, partitionPath(disk, partitions.esp)),
		readSignatures(probe, partitionPath(disk, partitions.root)),
	]);
	const ours: (string | null)[] = Object.values(labels);
	// debian-installer gives the file system of the ESP no label.
	const isEsp = ({label, type}: Signature) => ours.includes(label) || (label === null && type === 'vfat');
	return onEsp.every(isEsp) && onRoot.every(({label}) => ours.includes(label));
}

/** Why the disk's content may be erased, or undefined when it may not. */
async function findConsent(
	config: Install,
	disk: Disk,
	table: Table | undefined,
	layout: Layout,
	probe: Probe,
): Promise<string | undefined> {
	if (await isUnfinished(disk, table, layout, probe)) return 'an install that never booted';
	const root = table?.partitions.find(({number}) => number === partitions.root);
	if (table?.id === layout.tableId && root?.name === rootName) {
		if (root.uuid === layout.rootPartUuid) {
			throw new Error(
				`${disk.name} was installed by this very medium. Remove the medium and boot the disk; to install it anew, build the medium again with a changed profile, or erase the disk (wipefs --all)`,
			);
		}
		if (config.wipe === 'same-machine' && layout.identified) return 'wipe: same-machine';
	}
	return config.wipe === 'any' ? 'wipe: any' : undefined;
}

/** An empty disk reads as one: libblkid takes a sector that cannot be read for one without a signature. */
async function checkEmpty(disk: Disk, probe: Probe): Promise<void> {
	if (disk.contents !== 'empty') {
		throw new Error(
			`${disk.name} shows no signature to wipefs, but lsblk sees: ${disk.contents}. Look at it before anything is written to it`,
		);
	}
	await probe.output(['dd', `if=${disk.path}`, 'of=/dev/null', 'bs=1M', 'count=4', 'status=none']);
	const end = Math.max(0, Math.floor(disk.size / 2 ** 20) - 4);
	await probe.output(['dd', `if=${disk.path}`, 'of=/dev/null', 'bs=1M', `skip=${end}`, 'status=none']);
}

async function refuse(config: Install, disk: Disk, probe: Probe): Promise<never> {
	throw new Error(
		[
			`${disk.name} (${[disk.model, disk.serial].filter(Boolean).join(', ')}) is not empty, and install.wipe is ${config.wipe}`,
			explainDisks(config.disk, await readDisks(probe)),
			'nothing was changed. If what is on the disk may go, either erase it yourself (wipefs --all), or say so in the',
			'profile, build the medium again and boot it:',
			'  install: {wipe: same-machine}   # an earlier install of bringup on this very machine',
			'  install: {wipe: any}            # whatever is there',
		].join('\n'),
	);
}

function planWipe(disk: Disk, consent: string): Step[] {
	const what = `${disk.contents} on ${disk.name} (${disk.model}, serial ${disk.serial || 'none'}; ${consent})`;
	const devices = [...disk.partitions.map(number => partitionPath(disk, number)), disk.path];
	return devices.map(device => ({do: 'run', command: ['wipefs', '--all', device], why: `erase ${what}: ${device}`}));
}

/** Where debian-installer's road has it on record until the next boot whether the disk's content was given up. */
export const clearedPath = '/run/bringup/cleared.txt';

/** What may be done with a disk's content, and the steps to an empty disk. */
export interface Clearance {
	/** This build has begun here already: its table is to stay. */
	begun: boolean;
	/** Why the content may go. */
	consent: string;
	/** Whether signatures in what will be partitions may go too. */
	given: boolean;
	wipe: Step[];
}

/** Whether the profile lets the chosen disk's content go. Throws, with every disk explained, when it does not. */
export async function planClearance(config: Install, disk: Disk, layout: Layout, probe: Probe): Promise<Clearance> {
	const found = await readSignatures(probe, disk.path);
	const table = await readTable(probe, disk.path, found);
	if (isBegun(table, layout)) {
		const consent = 'this install has begun on it';
		return {begun: true, consent, given: true, wipe: planWipe(disk, consent)};
	}
	// Erased, and the power was cut before there was a table.
	if (found.length === 0 && (await readMark(probe, disk.path, markOffset))?.uuid === layout.rootPartUuid)
		return {begun: false, consent: 'this install has begun on it', given: true, wipe: []};
	if (found.length === 0) {
		await checkEmpty(disk, probe);
		return {begun: false, consent: 'the disk is empty', given: config.wipe === 'any', wipe: []};
	}
	const consent = (await findConsent(config, disk, table, layout, probe)) ?? (await refuse(config, disk, probe));
	return {begun: false, consent, given: true, wipe: planWipe(disk, consent)};
}
