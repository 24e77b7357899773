import {explainInstall} from './choice.ts';
import {type Contents, edges, isBlank, readContents, readSignatures, type Signature} from './contents.ts';
import {type Disk, type Install, isDataLabel, readBlockDevices, readDisks} from './disks.ts';
import {planStops, planWipe} from './erase.ts';
import {
	isBegun,
	type Layout,
	labels,
	markOffset,
	partitionPath,
	partitions,
	planMark,
	readMark,
	rootName,
	type Table,
} from './layout.ts';
import type {Probe, Step} from './phase.ts';

/** Whether the disk has the partitions that every install makes, and none beside them. */
function isOnlyOurs(table: Table | undefined): boolean {
	const names = new Map(table?.partitions.map(({number, name}) => [number, name]));
	return (
		names.size === 3 && names.get(partitions.bios) === 'bringup-bios' && names.get(partitions.esp) === 'bringup-esp'
	);
}

/** Whether the disk holds nothing but an install of ours that never booted. */
async function isUnfinished(disk: Disk, table: Table | undefined, layout: Layout, probe: Probe): Promise<boolean> {
	const root = table?.partitions.find(({number}) => number === partitions.root);
	if (table?.id !== layout.tableId || root === undefined || table.mark?.uuid !== root.uuid || !isOnlyOurs(table))
		return false;
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
	if (isErasing(table, layout)) return 'this install has begun on it';
	if (await isUnfinished(disk, table, layout, probe)) return 'an install that never booted';
	const root = table?.partitions.find(({number}) => number === partitions.root);
	if (table?.id === layout.tableId && root?.name === rootName) {
		if (root.uuid === layout.rootPartUuid) {
			throw new Error(
				`${disk.name} was installed by this very medium. Remove the medium and boot the disk; to install it anew, build the medium again with a changed profile, or erase the disk (wipefs --all)`,
			);
		}
		if (config.wipe === 'same-machine' && layout.identified && isOnlyOurs(table)) return 'wipe: same-machine';
	}
	return config.wipe === 'any' ? 'wipe: any' : undefined;
}

/** What the profile cannot give up. udev may not have seen these partitions; the disk's own table has them. */
function checkData(disk: Disk, table: Table | undefined): void {
	const data = table?.partitions.filter(({name}) => isDataLabel(name)).map(({name}) => name) ?? [];
	if (data.length > 0)
		throw new Error(
			`${disk.name} is a data disk: it carries ${data.join(', ')}. An install takes none, whatever install.wipe says; if it may go, erase it yourself (wipefs --all)`,
		);
}

async function refuse(config: Install, disk: Disk, contents: Contents, probe: Probe): Promise<never> {
	const what = `${disk.name} (${[disk.model, disk.serial].filter(Boolean).join(', ')}) is not empty`;
	const why = contents.raw
		? `${what}: it has no signature, and there are bytes other than zero in its first or last 8 MiB, as of an encrypted disk without a header or a raw database; install.wipe is ${config.wipe}`
		: `${what}, and install.wipe is ${config.wipe}`;
	const {serial, wwids} = disk;
	const [wwid] = wwids;
	const named = wwid ? `wwid: ${JSON.stringify(wwid)}` : serial ? `serial: ${JSON.stringify(serial)}` : undefined;
	throw new Error(
		[
			why,
			explainInstall(config, await readDisks(probe)),
			'nothing was changed. If what is on the disk may go, either erase it yourself (wipefs --all), or say so in the',
			'profile, build the medium again and boot it:',
			'  install: {wipe: same-machine}   # an earlier install of bringup on this very machine',
			...(named ? [`  install: {disk: {${named}}, wipe: any}   # whatever is there`] : []),
		].join('\n'),
	);
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
	/** To an empty disk. A power cut between any two of them leaves a disk that the same build may erase. */
	wipe: Step[];
}

/** The mark of this build, before anything is erased that says whose the disk is. udev then reads the table anew, and its partitions are not there meanwhile. */
const planBegin = (disk: Disk, layout: Layout): Step[] => [
	planMark(
		disk.path,
		markOffset,
		{state: 'installing', uuid: layout.rootPartUuid},
		`mark ${disk.name} as being installed`,
		[disk.on],
	),
	{do: 'run', command: ['udevadm', 'settle'], why: 'let udev see the disk again'},
];

/** The steps to an empty disk. One that says itself that it is unfinished keeps saying so until it is empty. */
async function planErasure(
	disk: Disk,
	consent: string,
	layout: Layout,
	table: Table | undefined,
	probe: Probe,
): Promise<Step[]> {
	const devices = await readBlockDevices(probe);
	const node = devices.find(({name}) => name === disk.name);
	if (!node) throw new Error(`${disk.name} is not there any more; boot the medium again`);
	const given = {disk, node, consent};
	const begin = table?.mark === undefined ? planBegin(disk, layout) : [];
	return [...planStops([given], devices), ...begin, ...planWipe(given)];
}

/** Whether this build had the consent, and the power was cut before the table was gone. A system that boots takes the mark away. */
const isErasing = (table: Table | undefined, layout: Layout) =>
	table?.id === layout.tableId && table.mark?.uuid === layout.rootPartUuid && isOnlyOurs(table);

/** Whether the profile lets the chosen disk's content go. Throws, with every disk explained, when it does not. */
export async function planClearance(config: Install, disk: Disk, layout: Layout, probe: Probe): Promise<Clearance> {
	const contents = await readContents(probe, disk.path, edges.disk);
	const {table} = contents;
	checkData(disk, table);
	if (isBegun(table, layout) && isOnlyOurs(table)) {
		// debian-installer's road alone erases this: the other goes on with it, while it is mounted.
		const consent = 'this install has begun on it';
		return {begun: true, consent, given: true, wipe: planWipe({disk, consent})};
	}
	// Erased, and the power was cut before there was a table.
	const mark = contents.raw ? await readMark(probe, disk.path, markOffset) : undefined;
	if (mark?.uuid === layout.rootPartUuid)
		return {begun: false, consent: 'this install has begun on it', given: true, wipe: []};
	if (mark !== undefined)
		return {begun: false, consent: 'an install that never booted', given: config.wipe === 'any', wipe: []};
	if (isBlank(contents)) {
		if (disk.contents !== 'empty')
			throw new Error(
				`${disk.name} shows no signature to wipefs, but lsblk sees: ${disk.contents}. Look at it before anything is written to it`,
			);
		return {begun: false, consent: 'the disk is empty', given: config.wipe === 'any', wipe: []};
	}
	const found = await findConsent(config, disk, table, layout, probe);
	const consent = found ?? (await refuse(config, disk, contents, probe));
	return {begun: false, consent, given: true, wipe: await planErasure(disk, consent, layout, table, probe)};
}
