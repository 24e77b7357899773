import type {Probe, Step} from './phase.ts';
import type {Volume} from './virtualization.ts';

type BlockVolume = Extract<Volume, {kind: 'block'}>;

interface Segment {
	vg_name: string;
	pv_name: string;
	pv_attr: string;
	pvseg_start: string;
	pvseg_size: string;
	segtype: string;
}

/** So many free extents of a group, as LVM takes them on a command line. */
async function findFree(group: string, count: number, probe: Probe): Promise<string[]> {
	const fields = 'vg_name,pv_name,pv_attr,pvseg_start,pvseg_size,segtype';
	const output = await probe.output(['pvs', '--segments', '--reportformat', 'json', '--options', fields]);
	const {report} = JSON.parse(output) as {report: {pvseg: Segment[]}[]};
	const free = report
		.flatMap(({pvseg}) => pvseg)
		.filter(({vg_name, segtype, pv_attr}) => vg_name === group && segtype === 'free' && pv_attr.startsWith('a'));
	const ranges: string[] = [];
	let left = count;
	for (const {pv_name, pvseg_start, pvseg_size} of free) {
		const taken = Math.min(left, Number(pvseg_size));
		if (taken === 0) break;
		ranges.push(`${pv_name}:${pvseg_start}-${Number(pvseg_start) + taken - 1}`);
		left -= taken;
	}
	if (left === 0) return ranges;
	throw new Error(
		`the volume group ${group} has ${left} free extents too few (see: pvs --segments); give the disk less`,
	);
}

/**
 * The steps that grow a plain logical volume by extents that were filled with zeros: they may hold what was on another
 * disk. They are filled as a volume of their own, because a guest may use what its disk has got at once.
 */
export async function planCleanGrowth(
	{path, parent, name, bytes}: BlockVolume,
	block: {bytes: number; extent: number},
	why: string,
	probe: Probe,
): Promise<Step[]> {
	const count = Math.ceil(bytes / block.extent) - block.bytes / block.extent;
	const ranges = await findFree(parent, count, probe);
	const fresh = `${name}.new`;
	const make = ['--yes', '--zero', 'n', '--wipesignatures', 'n', '--extents', String(count), '--name', fresh];
	return [
		{do: 'run', command: ['lvcreate', ...make, parent, ...ranges], why: `take what ${path} grows by`},
		{
			do: 'run',
			command: ['blkdiscard', '--zeroout', `${path}.new`],
			why: 'fill it with zeros: it holds what was there before',
		},
		{do: 'run', command: ['sync', `${path}.new`], why: 'make it durable'},
		{do: 'run', command: ['lvremove', '--yes', `${parent}/${fresh}`], why: 'give it back to the group'},
		{do: 'run', command: ['lvextend', path, ...ranges], why},
	];
}
