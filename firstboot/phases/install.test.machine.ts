import {readFileSync} from 'node:fs';
import {installSchema} from '../disks.ts';
import {type Layout, readLayout, unfinishedName} from '../layout.ts';
import type {Probe, Step} from '../phase.ts';
import {probeRecord, type RecordedMachine} from '../record.ts';

export const blank = JSON.parse(readFileSync('firstboot/machines/blank.json', 'utf8')) as RecordedMachine;
export const device = '/dev/disk/by-diskseq/1';
export const signatures = (path: string) => `wipefs --no-act --json ${path}`;
export const config = installSchema.parse({disk: {minSize: '16G'}});

/** The blank machine with other answers; undefined takes one away. */
export function machine(commands: Record<string, unknown>, files: Record<string, string> = {}): Probe {
	return probeRecord({commands: {...blank.commands, ...commands}, files: {...blank.files, ...files}});
}

export const layout: Layout = await readLayout(machine({}), {
	serial: 'S0EXAMPLE000001',
	wwids: ['eui.0025385b01400001'],
} as never);

/** A disk with the table of an install, its names and identifiers as said. */
export function table({
	id = layout.tableId,
	name = unfinishedName,
	uuid = layout.rootPartUuid,
} = {}): Record<string, unknown> {
	return {
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
				partitions: [
					{node: `${device}-part1`, name: 'bringup-bios', uuid: 'AA', type: '21686148-6449-6E6F-744E-656564454649'},
					{node: `${device}-part2`, name: 'bringup-esp', uuid: layout.espPartUuid.toUpperCase()},
					{node: `${device}-part3`, name, uuid: uuid.toUpperCase()},
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
