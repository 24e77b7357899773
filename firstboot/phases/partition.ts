import {chooseDisk, type Disk, explainDisks, type Install, installSchema, readDisks} from '../disks.ts';
import {
	finishedName,
	isBegun,
	type Layout,
	partitionPath,
	partitions,
	readLayout,
	readSignatures,
	readTable,
	type Signature,
	type Table,
	unfinishedName,
} from '../layout.ts';
import type {Phase, Step} from '../phase.ts';

const types = {
	bios: '21686148-6449-6E6F-744E-656564454649',
	esp: 'C12A7328-F81F-11D2-BA4B-00A0C93EC93B',
	root: '4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709', // root of x86-64, Discoverable Partitions Specification
};

/** Why the disk's content may be erased, or undefined when it may not. */
function findConsent(
	wipe: Install['wipe'],
	found: readonly Signature[],
	table: Table | undefined,
	layout: Layout,
): string | undefined {
	if (found.length === 0) return 'the disk is empty';
	const root = table?.partitions.find(({number}) => number === partitions.root);
	const ours = table?.id === layout.tableId;
	if (ours && root?.name === unfinishedName) return 'an install that never booted';
	if (wipe === 'any') return 'wipe: any';
	if (wipe === 'same-machine' && layout.identified && ours && root?.name === finishedName) return 'wipe: same-machine';
	return undefined;
}

async function refuse(config: Install, disk: Disk, probe: Parameters<Phase['plan']>[1]): Promise<never> {
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
		const consent = findConsent(config.wipe, found, table, layout) ?? (await refuse(config, disk, probe));
		const erased = found.length > 0;
		return [
			...(erased ? planWipe(disk, consent) : []),
			{
				do: 'run',
				// Signatures inside the new partitions are kept unless the profile gave the disk's content up: format refuses them.
				command: ['sfdisk', '--wipe-partitions', erased ? 'always' : 'never', disk.path],
				stdin: formatTable(layout),
				why: `partition ${disk.name} (${disk.model}, serial ${disk.serial || 'none'}; ${consent})`,
			},
			{do: 'run', command: ['udevadm', 'settle'], why: 'let udev see the partitions'},
		];
	},
};
