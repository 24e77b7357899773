import {own} from '../sequence.ts';
import type {FalseFact, Sections} from './fact.ts';
import {isSystemPath} from './storage.ts';

type Storage = NonNullable<Sections['storage']>;

/** The fewest members that each kind of vdev has. */
const fewest = {disk: 1, mirror: 2, raidz1: 2, raidz2: 3, raidz3: 4};

/** Names that mean something else to zpool(8). */
const reserved = /^(mirror|raidz|draid|spare|log$|c[0-9])/;

function checkPool({filesystems, pools}: Storage, name: string): FalseFact[] {
	const path = ['storage', 'pools', name];
	const {vdevs = [], datasets = {}} = own(pools, name) ?? {};
	const faults: FalseFact[] = [];
	if (reserved.test(name)) faults.push({path, message: `${name} means something else to ZFS; take another name`});
	if (own(filesystems, name)) faults.push({path, message: `a file system is called ${name} too`});
	vdevs.forEach(({type, members}, index) => {
		if (members.length < fewest[type])
			faults.push({path: [...path, 'vdevs', index, 'members'], message: `${type} has ${fewest[type]} members or more`});
	});
	const [first] = vdevs;
	const odd = vdevs.findIndex(({type, members}) => type !== first?.type || members.length !== first.members.length);
	if (odd >= 0 && !vdevs.every(({type}) => type === 'disk'))
		faults.push({
			path: [...path, 'vdevs', odd],
			message: 'zpool takes vdevs of one type and one number of members only',
		});
	for (const [dataset, {mount}] of Object.entries(datasets)) {
		const at = [...path, 'datasets', dataset, 'mount'];
		if (mount !== undefined && isSystemPath(mount))
			faults.push({path: at, message: `${mount} belongs to the system; mount it below /srv or /var/lib`});
	}
	return faults;
}

const holds = (outer: string, inner: string) => inner === outer || inner.startsWith(`${outer}/`);

/** Two things at one place, or one in the other: ZFS mounts its own, in an order that is not systemd's, and one would hide the other. */
function checkMounts({filesystems, pools}: Storage): FalseFact[] {
	const seen: {name: string; mount: string}[] = [];
	return Object.entries(pools).flatMap(([pool, {datasets}]) =>
		Object.entries(datasets).flatMap(([name, {mount}]): FalseFact[] => {
			if (mount === undefined) return [];
			const twin = seen.find(other => other.mount === mount)?.name;
			const [other] =
				Object.entries(filesystems).find(([, at]) => holds(at.mount, mount) || holds(mount, at.mount)) ?? [];
			seen.push({name: `${pool}/${name}`, mount});
			const found = twin ?? other;
			if (found === undefined) return [];
			const path = ['storage', 'pools', pool, 'datasets', name, 'mount'];
			return [{path, message: `${found} is mounted there, above it or below it; take a path of its own`}];
		}),
	);
}

/** What is wrong with the pools of ZFS, and with what they need around them. */
export function checkPools(storage: Storage, {debian, machine}: Pick<Sections, 'debian' | 'machine'>): FalseFact[] {
	const names = Object.keys(storage.pools);
	if (names.length === 0)
		return storage.mok ? [{path: ['storage', 'mok'], message: 'only pools of ZFS need it; remove it'}] : [];
	const faults: FalseFact[] = names.flatMap(name => checkPool(storage, name));
	if (debian && !debian.components.includes('contrib'))
		faults.push({
			path: ['storage', 'pools'],
			message: 'ZFS is in the component contrib; say debian: {components: [main, contrib, non-free-firmware]}',
		});
	if (debian?.release === 'bookworm') faults.push({path: ['storage', 'pools'], message: 'pools of ZFS need Debian 13'});
	if (machine?.secureBoot && machine.firmware.includes('uefi') && !storage.mok)
		faults.push({
			path: ['storage', 'pools'],
			message:
				'Debian does not sign the module of ZFS, and under Secure Boot the kernel loads no module without a signature that it knows: give storage.mok, whose key a person confirms once at the console of each machine; or, where Secure Boot is off, say machine: {secureBoot: false}; btrfs, xfs and ext4 need neither',
		});
	return [...faults, ...checkMounts(storage)];
}
