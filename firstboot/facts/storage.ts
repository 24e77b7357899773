import {own} from '../sequence.ts';
import type {FalseFact, FieldPath, Sections} from './fact.ts';
import {findGroupNameFault, findVolumeNameFault} from './lvm-names.ts';

type Storage = NonNullable<Sections['storage']>;

/** The fewest members that each level has. */
const fewest = {raid1: 2, raid5: 3, raid6: 4, raid10: 2};

/** Data disks share the names of partitions, bringup-NAME, with the system disk, which has these. */
const systemPartitions = ['bios', 'esp', 'root', 'installing'];

interface Use {
	name: string;
	path: FieldPath;
	known: readonly string[];
	what: string;
}

function listUses({disks, arrays, groups, filesystems, pools}: Storage): Use[] {
	const [diskNames, arrayNames] = [Object.keys(disks), Object.keys(arrays)];
	const volumes = Object.entries(groups).flatMap(([group, {volumes}]) =>
		Object.keys(volumes).map(volume => `${group}/${volume}`),
	);
	const members = (kind: 'arrays' | 'groups', owner: string, names: readonly string[]): Use[] => {
		const known = kind === 'arrays' ? diskNames : [...diskNames, ...arrayNames];
		const what = kind === 'arrays' ? 'disk' : 'disk or array';
		return names.map((name, index) => ({name, path: ['storage', kind, owner, 'members', index], known, what}));
	};
	return [
		...Object.entries(arrays).flatMap(([name, array]) => members('arrays', name, array.members)),
		...Object.entries(groups).flatMap(([name, group]) => members('groups', name, group.members)),
		...Object.entries(pools).flatMap(([pool, {vdevs}]) =>
			vdevs.flatMap(({members}, vdev) =>
				members.map((name, index): Use => {
					const path = ['storage', 'pools', pool, 'vdevs', vdev, 'members', index];
					return {name, path, known: diskNames, what: 'disk'};
				}),
			),
		),
		...Object.entries(filesystems).flatMap(([label, {on}]) =>
			[on].flat().map((name): Use => {
				const known = [...diskNames, ...arrayNames, ...volumes];
				return {name, path: ['storage', 'filesystems', label, 'on'], known, what: 'disk, array or GROUP/VOLUME'};
			}),
		),
	];
}

function checkUses(storage: Storage): FalseFact[] {
	const uses = listUses(storage);
	const faults = uses.flatMap(({name, path, known, what}, index): FalseFact[] => {
		if (!known.includes(name)) return [{path, message: `there is no ${what} ${name}; there are ${known.join(', ')}`}];
		const earlier = uses.slice(0, index).find(use => use.name === name);
		return earlier ? [{path, message: `${name} is used by ${earlier.path[2]} already`}] : [];
	});
	const idle = Object.keys(storage.disks).filter(disk => !uses.some(({name}) => name === disk));
	return [
		...faults,
		...idle.map(disk => ({
			path: ['storage', 'disks', disk],
			message: `${disk} is used by nothing; remove it, or use it`,
		})),
	];
}

/** Whether a path is part of the system, which a data disk must not hide. */
export function isSystemPath(path: string): boolean {
	const folders = /^\/(bin|boot|dev|etc|lib\w*|proc|root|run|sbin|sys|tmp|usr)(\/|$)/;
	return folders.test(path) || /^\/var(\/lib(\/(apt|bringup|dkms|dpkg|systemd)(\/.*)?)?)?$/.test(path);
}

function checkFileSystems({filesystems}: Storage): FalseFact[] {
	const all = Object.entries(filesystems);
	return all.flatMap(([label, {on, type, raid, mount, subvolumes}], index) => {
		const path = ['storage', 'filesystems', label];
		const count = [on].flat().length;
		const faults: FalseFact[] = [];
		if (type !== 'btrfs' && count > 1)
			faults.push({path: [...path, 'on'], message: `${type} is on one device; several are for btrfs, or an array`});
		if (type !== 'btrfs' && subvolumes.length > 0)
			faults.push({path: [...path, 'subvolumes'], message: `${type} has no subvolumes; btrfs has`});
		if (raid !== 'single' && (type !== 'btrfs' || count < (raid === 'raid10' ? 4 : 2)))
			faults.push({
				path: [...path, 'raid'],
				message: `${raid} is of btrfs on ${raid === 'raid10' ? 4 : 2} devices or more`,
			});
		const twin = all.slice(0, index).find(([, other]) => other.mount === mount);
		if (twin) faults.push({path: [...path, 'mount'], message: `${twin[0]} is mounted at ${mount} already`});
		if (isSystemPath(mount))
			faults.push({
				path: [...path, 'mount'],
				message: `${mount} belongs to the system; mount it below /srv or /var/lib`,
			});
		return faults;
	});
}

/** What is wrong with the section storage as a whole. */
export function checkStorage(storage: Storage): FalseFact[] {
	const {disks, arrays, groups} = storage;
	const faults: FalseFact[] = systemPartitions
		.filter(name => own(disks, name))
		.map(name => ({
			path: ['storage', 'disks', name],
			message: `bringup-${name} is a partition of the system disk; take another name`,
		}));
	for (const [name, {level, members}] of Object.entries(arrays)) {
		const path = ['storage', 'arrays', name];
		if (own(disks, name)) faults.push({path, message: `a disk is called ${name} too`});
		if (members.length < fewest[level])
			faults.push({path: [...path, 'members'], message: `${level} has ${fewest[level]} members or more`});
	}
	for (const [name, {volumes}] of Object.entries(groups)) {
		const sizes = Object.entries(volumes);
		const wrong = findGroupNameFault(name);
		if (wrong) faults.push({path: ['storage', 'groups', name], message: wrong});
		for (const [volume] of sizes) {
			const message = findVolumeNameFault(volume);
			if (message)
				faults.push({path: ['storage', 'groups', name, 'volumes', volume], message: `${message}; take another`});
		}
		for (const [volume, {size}] of sizes.slice(0, -1))
			if (size === 'rest')
				faults.push({
					path: ['storage', 'groups', name, 'volumes', volume, 'size'],
					message: 'rest is for the last volume',
				});
	}
	return [...faults, ...checkUses(storage), ...checkFileSystems(storage)];
}
