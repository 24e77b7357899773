import {planMade, planMaking, readMaking} from '../claims.ts';
import {type Contents, formatContents, isBlank} from '../contents.ts';
import {findPlace, formatDifference, isGiven, type Place, readContent} from '../devices.ts';
import {parseSize} from '../disks.ts';
import {planGrowth} from '../growth.ts';
import {planActivation, type Report, readReport} from '../lvm.ts';
import {type OnDisk, type Phase, type Probe, planParts, type Step} from '../phase.ts';
import type {Storage, storageSchema} from '../volumes.ts';

/** LVM rounds up to whole extents of 4 MiB. */
const extent = 4 * 2 ** 20;

const listMounted = (storage: Storage, name: string) =>
	Object.values(storage.filesystems).filter(({on}) => [on].flat().includes(name));

/** What is found in a new volume lay on its disks before, and goes when they were given up. */
async function planNew(
	storage: Storage,
	name: string,
	amount: readonly string[],
	on: readonly OnDisk[],
	probe: Probe,
): Promise<Step[]> {
	const [group = '', volume = ''] = name.split('/');
	const given = await isGiven(storage, name, probe);
	const making = listMounted(storage, name).length > 0 ? await planMaking(probe, name, given ? 'given' : 'empty') : [];
	const wipe = ['--yes', '--wipesignatures', given ? 'y' : 'n'];
	const size = storage.groups[group]?.volumes[volume]?.size;
	return [
		...making,
		{
			do: 'run',
			command: ['lvcreate', ...wipe, '--name', volume, ...amount, group],
			on,
			why: `make the volume ${name} of ${size === 'rest' ? 'all that is left' : size}`,
		},
	];
}

async function planVolume(
	storage: Storage,
	name: string,
	report: Report,
	on: readonly OnDisk[],
	probe: Probe,
): Promise<Step[]> {
	const [group = '', volume = ''] = name.split('/');
	const size = storage.groups[group]?.volumes[volume]?.size ?? 'rest';
	const found = report.volumes.find(other => other.group === group && other.name === volume);
	const amount =
		size === 'rest' ? ['--extents', '100%FREE'] : ['--size', `${Math.ceil(parseSize(size) / extent) * extent}b`];
	if (!found) return planNew(storage, name, amount, on, probe);
	const wanted = size === 'rest' ? found.size : parseSize(size);
	if (found.size >= wanted + extent)
		throw formatDifference(
			`the volume ${name}`,
			size,
			`${(found.size / 2 ** 30).toFixed(1)}G`,
			'a volume is never made smaller; say the size that it has',
		);
	const [system] = listMounted(storage, name);
	// LVM's helper grows ext4 and xfs only.
	const resize = system?.type === 'btrfs' ? [] : ['--resizefs'];
	const grow: Step = {
		do: 'run',
		command: ['lvextend', ...resize, ...amount, name],
		on,
		why: `let the volume ${name} grow to ${size}`,
	};
	const grows = found.size < wanted;
	const target = grows ? Math.ceil(wanted / extent) * extent : found.size;
	const after = system?.type === 'btrfs' ? await planGrowth(storage, name, system.mount, target, probe) : [];
	return [...(grows ? [grow] : []), ...after];
}

interface Member {
	name: string;
	place: Place;
	content: Contents | undefined;
	group: string;
}

async function readMember(storage: Storage, name: string, report: Report, probe: Probe): Promise<Member> {
	const [place, content] = [await findPlace(storage, name, probe), await readContent(storage, name, probe)];
	return {name, place, content, group: report.members.find(({path}) => path === place.node?.path)?.group ?? ''};
}

/** A member is in this group, or in none and blank; what an array was made over may go with the array. */
async function planMember(group: string, {name, place, content, group: found}: Member, probe: Probe): Promise<Step[]> {
	const differs = (what: string, remedy: string) =>
		formatDifference(`the volume group ${group}`, `${name} as a member`, what, remedy);
	if (found !== '' && found !== group) throw differs(`${name} belongs to ${found}`, 'mend it with vgsplit or vgrename');
	if (found === group) return planMade(probe, name);
	if (!content || isBlank(content) || (content.signatures.every(({type}) => type === 'LVM2_member') && !content.raw))
		return [];
	const making = await readMaking(probe, name);
	if (making === undefined || (making === 'empty' && !content.raw))
		throw differs(`${name} holds ${formatContents(content)}`, `if it may go: wipefs --all ${place.path}`);
	if (content.raw) return [];
	const why = `erase ${formatContents(content)} on ${name}, which its disks held before`;
	return [{do: 'run', command: ['wipefs', '--all', place.path], on: place.on, why}];
}

async function planGroup(storage: Storage, name: string, report: Report, probe: Probe): Promise<Step[]> {
	const {members: names, volumes} = storage.groups[name] as Storage['groups'][string];
	const members = await Promise.all(names.map(member => readMember(storage, member, report, probe)));
	const prepare = await Promise.all(members.map(member => planMember(name, member, probe)));
	const missing = members.filter(({group}) => group === '').map(({place}) => place.path);
	const on = members.flatMap(({place}) => place.on);
	const there = report.groups.includes(name);
	if (there && missing.length === members.length) {
		const others = report.members.filter(({group}) => group === name).map(({path}) => path);
		throw formatDifference(
			`the volume group ${name}`,
			`on ${names.join(', ')}`,
			`on ${others.join(', ')}, which is none of these`,
			`rename that one (vgrename ${name} …), or take its disk out`,
		);
	}
	const all = Object.keys(volumes).map(volume => `${name}/${volume}`);
	const activate = await planActivation(storage, all, report, probe);
	if (activate.length > 0) return activate;
	const make: Step = {
		do: 'run',
		command: [there ? 'vgextend' : 'vgcreate', name, ...missing],
		on,
		why: there ? `add ${missing.join(', ')} to the volume group ${name}` : `make the volume group ${name}`,
	};
	const steps = [...prepare.flat(), ...(missing.length > 0 ? [make] : [])];
	for (const volume of all) steps.push(...(await planVolume(storage, volume, report, on, probe)));
	return steps;
}

/** Volume groups and logical volumes; volumes grow, and never shrink. */
export const groups: Phase<typeof storageSchema> = {
	packages: ['lvm2', 'coreutils', 'e2fsprogs', 'xfsprogs', 'btrfs-progs'],
	async plan(storage, probe) {
		const names = Object.keys(storage.groups);
		if (names.length === 0) return [];
		const report = await readReport(probe);
		return planParts(names, name => planGroup(storage, name, report, probe));
	},
};
