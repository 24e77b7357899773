import {findDevice} from './devices.ts';
import {readBlockDevices} from './disks.ts';
import type {Command, Probe, Step} from './phase.ts';
import type {Storage} from './volumes.ts';

/** What LVM knows, whether it is active or not. */
export interface Report {
	groups: string[];
	/** Group of each physical volume, by path as udev resolves it. */
	members: {path: string; group: string}[];
	volumes: {group: string; name: string; size: number}[];
}

const listVolumes: Command = [
	...(['lvm', 'fullreport', '--reportformat', 'json', '--units', 'b', '--nosuffix'] as const),
	...['--configreport', 'vg', '--options', 'vg_name', '--configreport', 'pv', '--options', 'pv_name,vg_name'],
	...['--configreport', 'lv', '--options', 'vg_name,lv_name,lv_size'],
	...['--configreport', 'pvseg', '--options', 'pvseg_start', '--configreport', 'seg', '--options', 'seg_start'],
];

interface LvmReport {
	report: Record<'vg' | 'pv' | 'lv', Record<string, string>[] | undefined>[];
}

/** Asks LVM for all that it knows. */
export async function readReport(probe: Probe): Promise<Report> {
	const {report} = JSON.parse(await probe.output(listVolumes)) as LvmReport;
	const all = (kind: 'vg' | 'pv' | 'lv') => report.flatMap(one => one[kind] ?? []);
	return {
		groups: all('vg').map(({vg_name = ''}) => vg_name),
		members: all('pv').map(({pv_name = '', vg_name = ''}) => ({path: pv_name, group: vg_name})),
		volumes: all('lv').map(({vg_name = '', lv_name = '', lv_size}) => {
			return {group: vg_name, name: lv_name, size: Number(lv_size)};
		}),
	};
}

/** The steps that make a group's volumes devices, when one of those that exist is none: what it holds cannot be seen. None for a volume that does not exist. */
export async function planActivation(
	storage: Storage,
	names: readonly string[],
	report: Report,
	probe: Probe,
): Promise<Step[]> {
	const devices = await readBlockDevices(probe);
	const unseen = names.filter(name => {
		const exists = report.volumes.some(({group, name: volume}) => `${group}/${volume}` === name);
		return exists && findDevice(storage, name, devices) === undefined;
	});
	const groups = [...new Set(unseen.map(name => name.split('/')[0] ?? ''))];
	const activate = groups.map((group): Step => {
		return {
			do: 'run',
			command: ['vgchange', '--activate', 'y', group],
			why: `activate ${group}, to see what is on ${unseen.join(', ')}`,
		};
	});
	return activate.length > 0
		? [...activate, {do: 'run', command: ['udevadm', 'settle'], why: 'let udev see the volumes'}]
		: [];
}
