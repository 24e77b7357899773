import {type Phase, type Probe, planServices, type Step} from '../phase.ts';
import {devicePath, formatDifference, readContent, type Storage, storageSchema} from '../volumes.ts';
import {type Pool, readPools, type Vdev} from '../zfs.ts';
import {planModule} from '../zfs-module.ts';

const format = (vdevs: readonly string[]) => vdevs.join(', ');

/** Pools are found again by their own names only, whatever another system was called that had them. */
async function planHostId(probe: Probe): Promise<Step[]> {
	if ((await probe.read('/etc/hostid')) !== undefined) return [];
	const id = (await probe.read('/etc/machine-id'))?.slice(0, 8);
	if (!id || !/^[0-9a-f]{8}$/.test(id))
		throw new Error('the machine has no identifier in /etc/machine-id; run systemd-machine-id-setup');
	return [{do: 'run', command: ['zgenhostid', id], why: 'let the pools know this machine again'}];
}

function makePool(storage: Storage, name: string, {vdevs, properties}: Pool): Step {
	const options = ['-o', 'ashift=12', '-o', 'autotrim=on', '-O', 'mountpoint=none', '-O', 'canmount=off'];
	const defaults = {compression: 'on', xattr: 'sa', acltype: 'posixacl', relatime: 'on', ...properties};
	const set = Object.entries(defaults).flatMap(([property, value]) => ['-O', `${property}=${value}`]);
	const layout = vdevs.flatMap(({type, members}) => [
		...(type === 'disk' ? [] : [type]),
		...members.map(member => devicePath(storage, member)),
	]);
	const what = format(vdevs.map(({type, members}) => `${type} of ${members.join(', ')}`));
	return {
		do: 'run',
		command: ['zpool', 'create', ...options, ...set, name, ...layout],
		why: `make the pool ${name}: ${what}`,
	};
}

/** A pool whose creation was cut short has a label on its disks, of transaction 0, and zpool takes them for free. */
async function isUnfinished(storage: Storage, member: string, probe: Probe): Promise<boolean> {
	return /^ +txg: 0$/m.test(await probe.output(['zdb', '-l', devicePath(storage, member)]));
}

const summarize = (vdevs: readonly Vdev[]) => format(vdevs.map(({type, members}) => `${type} of ${members}`));

async function planPool(
	storage: Storage,
	name: string,
	imported: ReadonlyMap<string, Vdev[]>,
	probe: Probe,
): Promise<Step[]> {
	const pool = storage.pools[name] as Pool;
	const members = pool.vdevs.flatMap(({members}) => members);
	const contents = await Promise.all(members.map(member => readContent(storage, member, probe)));
	const ours = contents.map(found => found.some(({type, label}) => type === 'zfs_member' && label === name));
	const wanted = format(pool.vdevs.map(({type, members}) => `${type} of ${members.join(', ')}`));
	const foreign = members.findIndex((_, index) => !ours[index] && contents[index]?.length);
	if (foreign >= 0) {
		const found = contents[foreign]?.map(({type, label}) => `${type} "${label ?? ''}"`).join(', ');
		const path = devicePath(storage, members[foreign] ?? '');
		throw formatDifference(
			`the pool ${name}`,
			wanted,
			`${members[foreign]} holds ${found}`,
			`if it may go: zpool labelclear ${path}, or wipefs --all ${path}`,
		);
	}
	const vdevs = imported.get(name);
	if (!vdevs && !ours.includes(true)) return [makePool(storage, name, pool)];
	const blank = members.find((_, index) => !ours[index]);
	if (blank !== undefined)
		throw formatDifference(
			`the pool ${name}`,
			wanted,
			`${blank} is blank`,
			`where it is in the place of a disk that failed: zpool import ${name}; zpool replace ${name} OLD ${devicePath(storage, blank)}, with OLD from zpool status ${name}`,
		);
	if (vdevs) {
		const [is, shall] = [
			summarize(vdevs),
			summarize(pool.vdevs.map(({type, members}) => ({type, members: members.length}))),
		];
		if (is !== shall)
			throw formatDifference(
				`the pool ${name}`,
				shall,
				is,
				'its layout is changed by hand: zpool add, attach, replace, remove',
			);
		return [];
	}
	const unfinished = await Promise.all(members.map(member => isUnfinished(storage, member, probe)));
	if (unfinished.every(Boolean)) return [makePool(storage, name, pool)];
	// By force: the system that had it before was this machine's own, and is gone. Its disks are local, found by the profile's selectors.
	return [
		{
			do: 'run',
			command: ['zpool', 'import', '-f', '-d', '/dev/disk/by-partlabel', name],
			why: `take the pool ${name} back`,
		},
	];
}

const packages = [
	...['zfsutils-linux', 'zfs-zed', 'zfs-dkms', 'linux-headers-amd64', 'kmod'],
	...['mokutil', 'openssl', 'xz-utils', 'coreutils'],
];

/** Pools of ZFS, read whole each month. */
export const pools: Phase<typeof storageSchema> = {
	schema: storageSchema,
	packages: ({pools}) => (Object.keys(pools).length > 0 ? packages : []),
	async plan(storage, probe) {
		const names = Object.keys(storage.pools);
		if (names.length === 0) return [];
		const module = await planModule(storage, probe);
		const imported = await readPools(probe);
		const steps = await Promise.all(names.map(name => planPool(storage, name, imported, probe)));
		const timers = names.map(name => `zfs-scrub-monthly@${name}.timer`);
		return [
			...module,
			...(await planHostId(probe)),
			...steps.flat(),
			...(await planServices(probe, timers, `have ${names.join(', ')} scrubbed each month`)),
		];
	},
};
