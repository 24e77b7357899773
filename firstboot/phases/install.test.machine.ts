import {readFileSync} from 'node:fs';
import {installSchema} from '../disks.ts';
import {type Layout, readLayout} from '../layout.ts';
import type {Probe, Step} from '../phase.ts';
import {probeRecord, type RecordedMachine} from '../record.ts';

export const blank = JSON.parse(readFileSync('firstboot/machines/blank.json', 'utf8')) as RecordedMachine;
export const device = '/dev/disk/by-diskseq/1';
export const signatures = (path: string) => `wipefs --no-act --json ${path}`;
export const config = installSchema.parse({disk: {minSize: '16G'}});

/** What the sector says that tells how far an install is which has not yet booted. */
export function marked(
	uuid: string | undefined,
	path = device,
	sector = 4095,
	state = 'installing',
): Record<string, string> {
	const question = `dd if=${path} bs=512 skip=${sector} count=1 status=none`;
	return {[question]: uuid === undefined ? '' : `bringup-${state} ${uuid}\n\0`};
}

/** The blank machine with other answers; undefined takes one away. */
export function machine(commands: Record<string, unknown>, files: Record<string, string> = {}): Probe {
	return probeRecord({
		commands: {...blank.commands, ...commands},
		files: {...blank.files, ...files},
	});
}

export const layout: Layout = await readLayout(machine({}), {
	serial: 'S0EXAMPLE000001',
	wwids: ['eui.0025385b01400001'],
} as never);

/** A disk with the table of an install, its names and identifiers as said. */
export function table({
	id = layout.tableId,
	name = 'bringup-root',
	uuid = layout.rootPartUuid,
	/** Whether the installed system has booted. */
	sealed = false,
} = {}): Record<string, unknown> {
	return {
		...marked(sealed ? undefined : uuid),
		[signatures(device)]: {
			signatures: [
				{type: 'gpt', uuid: null},
				{type: 'PMBR', uuid: null},
			],
		},
		[`sfdisk --json ${device}`]: {
			partitiontable: {
				label: 'gpt',
				id: id.toUpperCase(),
				sectorsize: 512,
				partitions: [
					{
						node: `${device}-part1`,
						start: 2048,
						size: 2048,
						name: 'bringup-bios',
						uuid: 'AA',
						type: '21686148-6449-6E6F-744E-656564454649',
					},
					{
						node: `${device}-part2`,
						start: 4096,
						size: 2048,
						name: 'bringup-esp',
						uuid: layout.espPartUuid.toUpperCase(),
					},
					{node: `${device}-part3`, start: 6144, size: 2048, name, uuid: uuid.toUpperCase()},
				],
			},
		},
	};
}

/** Its file systems. */
export const made = {
	[signatures(`${device}-part3`)]: {signatures: [{type: 'ext4', uuid: layout.rootUuid, label: 'bringup-root'}]},
	[signatures(`${device}-part2`)]: {
		signatures: [{type: 'vfat', uuid: layout.espVolumeId.toUpperCase().replace(/^.{4}/, '$&-'), label: 'BRINGUP-ESP'}],
	},
};

export const commandsOf = (steps: readonly Step[]) =>
	steps.map(step => (step.do === 'run' ? step.command.join(' ') : step.do));
