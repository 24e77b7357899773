import {parseSize, readBlockDevices} from '../disks.ts';
import {type Command, type Phase, type Probe, planParts, type Step} from '../phase.ts';
import {devicePath, findDevice, formatDifference, readContent, type Storage, storageSchema} from '../volumes.ts';

interface Report {
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

async function readReport(probe: Probe): Promise<Report> {
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

/** LVM rounds up to whole extents of 4 MiB. */
const extent = 4 * 2 ** 20;

function planVolume(group: string, name: string, size: string, report: Report): Step[] {
	const found = report.volumes.find(volume => volume.group === group && volume.name === name);
	const amount =
		size === 'rest' ? ['--extents', '100%FREE'] : ['--size', `${Math.ceil(parseSize(size) / extent) * extent}b`];
	if (!found)
		return [
			{
				do: 'run',
				command: ['lvcreate', '--yes', '--wipesignatures', 'n', '--name', name, ...amount, group],
				why: `make the volume ${group}/${name} of ${size === 'rest' ? 'all that is left' : size}`,
			},
		];
	if (size === 'rest') return [];
	const wanted = parseSize(size);
	if (found.size >= wanted + extent)
		throw formatDifference(
			`the volume ${group}/${name}`,
			size,
			`${(found.size / 2 ** 30).toFixed(1)}G`,
			'a volume is never made smaller; say the size that it has',
		);
	if (found.size >= wanted) return [];
	return [
		{
			do: 'run',
			command: ['lvextend', '--resizefs', ...amount, `${group}/${name}`],
			why: `let the volume ${group}/${name} grow to ${size}`,
		},
	];
}

async function planGroup(storage: Storage, name: string, report: Report, probe: Probe): Promise<Step[]> {
	const {members, volumes} = storage.groups[name] as Storage['groups'][string];
	const devices = await readBlockDevices(probe);
	const missing: string[] = [];
	for (const member of members) {
		const path = devicePath(storage, member);
		const content = await readContent(storage, member, probe);
		const foreign = content.find(({type}) => type !== 'LVM2_member');
		if (foreign)
			throw formatDifference(
				`the volume group ${name}`,
				`${member} as a member`,
				`${member} holds ${foreign.type} ${foreign.label ?? ''}`,
				`if it may go: wipefs --all ${path}`,
			);
		const device = findDevice(storage, member, devices)?.path;
		const group = report.members.find(other => other.path === device)?.group ?? '';
		if (group !== '' && group !== name)
			throw formatDifference(
				`the volume group ${name}`,
				`${member} as a member`,
				`${member} belongs to ${group}`,
				'mend it with vgsplit or vgrename',
			);
		if (group === '') missing.push(path);
	}
	const there = report.groups.includes(name);
	if (there && missing.length === members.length) {
		const others = report.members.filter(({group}) => group === name).map(({path}) => path);
		throw formatDifference(
			`the volume group ${name}`,
			`on ${members.join(', ')}`,
			`on ${others.join(', ')}, which is none of these`,
			`rename that one (vgrename ${name} …), or take its disk out`,
		);
	}
	const verb = there ? 'vgextend' : 'vgcreate';
	const make: Step = {
		do: 'run',
		command: [verb, name, ...missing],
		why: there ? `add ${missing.join(', ')} to the volume group ${name}` : `make the volume group ${name}`,
	};
	return [
		...(missing.length > 0 ? [make] : []),
		...Object.entries(volumes).flatMap(([volume, {size}]) => planVolume(name, volume, size, report)),
	];
}

/** Volume groups and logical volumes; volumes grow, and never shrink. */
export const groups: Phase<typeof storageSchema> = {
	schema: storageSchema,
	packages: ['lvm2', 'coreutils', 'e2fsprogs', 'xfsprogs'],
	async plan(storage, probe) {
		if (Object.keys(storage.groups).length === 0) return [];
		const report = await readReport(probe);
		return planParts(Object.keys(storage.groups), name => planGroup(storage, name, report, probe));
	},
};
