import {formatContents, isBlank} from '../contents.ts';
import {findPlace, formatDifference, readContent} from '../devices.ts';
import {readOn} from '../disks.ts';
import {type OnDisk, ofPart, type Phase, type Probe, planParts, planServices, type Step} from '../phase.ts';
import {devicePath, type Storage, type storageSchema} from '../volumes.ts';
import {defaults, type Imported, type Pool, readPools} from '../zfs.ts';
import {planModule} from '../zfs-module.ts';

/** Pools know the machine that has them by this number; an empty file, as a power cut may leave it, is none. */
async function planHostId(probe: Probe): Promise<Step[]> {
	if (await probe.read('/etc/hostid')) return [];
	const id = (await probe.read('/etc/machine-id'))?.slice(0, 8);
	if (!id || !/^[0-9a-f]{8}$/.test(id))
		throw new Error('the machine has no identifier in /etc/machine-id; run systemd-machine-id-setup');
	return [
		{do: 'run', command: ['zgenhostid', '-f', id], why: 'let the pools know this machine again'},
		{do: 'run', command: ['sync', '/etc/hostid'], why: 'make it durable'},
	];
}

const describe = ({vdevs}: Pool) => vdevs.map(({type, members}) => `${type} of ${members.join(', ')}`).join('; ');

/** ZFS keeps the path that it was given, which must last longer than a disk's number: what that leads to is looked at. */
async function findPoolMember(storage: Storage, member: string, probe: Probe): Promise<OnDisk[]> {
	const {on, node} = await findPlace(storage, member, probe);
	return node ? [...on, await readOn(node.name, devicePath(storage, member), probe)] : on;
}

async function makePool(storage: Storage, name: string, pool: Pool, probe: Probe): Promise<Step> {
	const set = Object.entries({...defaults, ...pool.properties}).flatMap(([property, value]) => [
		'-O',
		`${property}=${value}`,
	]);
	const layout = pool.vdevs.flatMap(({type, members}) => [
		...(type === 'disk' ? [] : [type]),
		...members.map(member => devicePath(storage, member)),
	]);
	const command = ['zpool', 'create', '-o', 'ashift=12', '-o', 'autotrim=on', ...set, name, ...layout] as const;
	const members = pool.vdevs.flatMap(({members}) => members);
	const on = await Promise.all(members.map(member => findPoolMember(storage, member, probe)));
	return {do: 'run', command, on: on.flat(), why: `make the pool ${name}: ${describe(pool)}`};
}

/** Of a pool, what its parts are; disks that stand alone are a part each. */
const shapeOf = (vdevs: readonly {type: string; members: number}[]) =>
	vdevs
		.flatMap(({type, members}) => (type === 'disk' ? new Array<string>(members).fill(type) : [`${type} of ${members}`]))
		.join('; ');

/** An imported pool of this name must lie on these disks and have this shape. */
function checkImported(storage: Storage, name: string, {vdevs, paths}: Imported): void {
	const pool = storage.pools[name] as Pool;
	const own = pool.vdevs.flatMap(({members}) => members).map(member => devicePath(storage, member));
	const wanted = shapeOf(pool.vdevs.map(({type, members}) => ({type, members: members.length})));
	if (!own.some(path => paths.includes(path)))
		throw formatDifference(
			`the pool ${name}`,
			`on ${own.join(', ')}`,
			`on ${paths.join(', ')}`,
			`if these are the same disks under other names: zpool export ${name}, and bringup takes it back; if it is another pool, rename that one`,
		);
	if (shapeOf(vdevs) !== wanted)
		throw formatDifference(
			`the pool ${name}`,
			wanted,
			shapeOf(vdevs),
			'its layout is changed by hand: zpool add, attach, replace, remove',
		);
}

async function planPool(storage: Storage, name: string, imported: Imported | undefined, probe: Probe): Promise<Step[]> {
	const pool = storage.pools[name] as Pool;
	const members = pool.vdevs.flatMap(({members}) => members);
	const contents = await Promise.all(members.map(member => readContent(storage, member, probe)));
	const ours = contents.map(
		found => found?.signatures.some(({type, label}) => type === 'zfs_member' && label === name) ?? false,
	);
	const foreign = members.findIndex((_, index) => {
		const content = contents[index];
		return !ours[index] && content !== undefined && !isBlank(content);
	});
	const held = contents[foreign];
	if (held) {
		const path = devicePath(storage, members[foreign] ?? '');
		throw formatDifference(
			`the pool ${name}`,
			describe(pool),
			`${members[foreign]} holds ${formatContents(held)}`,
			// wipefs leaves what zpool knows a member by.
			`if it may go: ${held.signatures.some(({type}) => type === 'zfs_member') ? 'zpool labelclear -f' : 'wipefs --all'} ${path}`,
		);
	}
	if (!imported && !ours.includes(true)) return [await makePool(storage, name, pool, probe)];
	if (imported) checkImported(storage, name, imported);
	const blank = members.find((_, index) => !ours[index]);
	if (blank !== undefined)
		throw formatDifference(
			`the pool ${name}`,
			describe(pool),
			`${blank} is blank`,
			`where it is in the place of a disk that failed: zpool import ${name}; zpool replace ${name} OLD ${devicePath(storage, blank)}, with OLD from zpool status ${name}`,
		);
	if (imported?.degraded)
		throw formatDifference(
			`the pool ${name}`,
			'a pool that is whole',
			'it runs without some of its members',
			`see which, and what to do: zpool status ${name}`,
		);
	if (imported) return [];
	// By force: the system that had it before was this machine's own, and is gone. Its disks are local, found by the profile's selectors.
	const command = ['zpool', 'import', '-f', '-d', '/dev/disk/by-partlabel', name] as const;
	return [{do: 'run', command, why: `take the pool ${name} back`}];
}

const packages = [
	...['zfsutils-linux', 'zfs-zed', 'zfs-dkms', 'linux-headers-amd64', 'kmod'],
	...['mokutil', 'openssl', 'xz-utils', 'coreutils'],
];

/** Pools of ZFS, read whole each month. */
export const pools: Phase<typeof storageSchema> = {
	packages: ({pools}) => (Object.keys(pools).length > 0 ? packages : []),
	async plan(storage, probe) {
		const names = Object.keys(storage.pools);
		if (names.length === 0) return [];
		const {steps: module, usable} = await planModule(storage, probe);
		if (!usable) return module;
		const imported = await readPools(probe);
		const plan = (name: string) => planPool(storage, name, imported.get(name), probe);
		return planParts(names, plan, async (plans, planned) => {
			const timers = planned.map(name => `zfs-scrub-monthly@${name}.timer`);
			return [
				...module,
				...(await planHostId(probe)),
				...plans.flatMap((steps, index) => ofPart(planned[index], steps)),
				...(await planServices(probe, timers, `have ${planned.join(', ')} scrubbed each month`)),
			];
		});
	},
};
