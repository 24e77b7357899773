import {chooseDisk, type Disk, explainDisks, type Install, installSchema, readDisks} from '../disks.ts';
import {
	finishedName,
	isBegun,
	type Layout,
	labels,
	partitionPath,
	partitions,
	readLayout,
	readSignatures,
	readTable,
	type Table,
	unfinishedName,
} from '../layout.ts';
import type {Phase, Probe, Step} from '../phase.ts';

const types = {
	bios: '21686148-6449-6E6F-744E-656564454649',
	esp: 'C12A7328-F81F-11D2-BA4B-00A0C93EC93B',
	root: '4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709', // root of x86-64, Discoverable Partitions Specification
};

/** Whether the disk holds nothing but an install of ours that never booted. */
async function isUnfinished(disk: Disk, table: Table | undefined, layout: Layout, probe: Probe): Promise<boolean> {
	const root = table?.partitions.find(({number}) => number === partitions.root);
	if (table?.id !== layout.tableId || root?.name !== unfinishedName) return false;
	const held = await Promise.all(
		[partitions.esp, partitions.root].map(number => readSignatures(probe, partitionPath(disk, number))),
	);
	const ours: (string | null)[] = Object.values(labels);
	return held.flat().every(({label}) => ours.includes(label));
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
	if (table?.id === layout.tableId && root?.name === finishedName) {
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

function formatTable(layout: Layout): string {
	return [
		'label: gpt',
		`label-id: ${layout.tableId}`,
		`size=1MiB, type=${types.bios}, name=bringup-bios`,
		`size=512MiB, type=${types.esp}, uuid=${layout.espPartUuid}, name=bringup-esp`,
		`type=${types.root}, uuid=${layout.rootPartUuid}, name=${unfinishedName}`,
		'',
	].join('\n');
}

/** Lays the table out: BIOS boot, ESP, root, so that one disk boots under either firmware. */
export const partition: Phase<typeof installSchema> = {
	schema: installSchema,
	packages: ['fdisk', 'util-linux', 'udev'],
	async plan(config, probe) {
		const disk = await chooseDisk(config, probe);
		const layout = await readLayout(probe, disk);
		const found = await readSignatures(probe, disk.path);
		const table = await readTable(probe, disk.path, found);
		if (isBegun(table, layout)) return [];
		if (found.length === 0) await checkEmpty(disk, probe);
		const consent =
			found.length === 0
				? 'the disk is empty'
				: ((await findConsent(config, disk, table, layout, probe)) ?? (await refuse(config, disk, probe)));
		const given = found.length > 0 || config.wipe === 'any';
		return [
			...(found.length > 0 ? planWipe(disk, consent) : []),
			{
				do: 'run',
				// Signatures inside the new partitions are kept unless the profile gave the disk's content up: format refuses them.
				command: ['sfdisk', '--wipe-partitions', given ? 'always' : 'never', disk.path],
				stdin: formatTable(layout),
				why: `partition ${disk.name} (${disk.model}, serial ${disk.serial || 'none'}; ${consent})`,
			},
			{do: 'run', command: ['udevadm', 'settle'], why: 'let udev see the partitions'},
		];
	},
};
