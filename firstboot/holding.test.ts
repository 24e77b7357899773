import test from 'ava';
import {GivenUp, PartsError, type Phase} from './phase.ts';
import {probeRecord} from './record.ts';
import {converge} from './run.ts';
import {type Entry, type Machine, sequences} from './sequence.ts';
import {Status} from './status.ts';
import {storageSchema} from './volumes.ts';

const storage = storageSchema.parse({
	disks: {left: {serial: 'L'}, right: {serial: 'R'}, fast: {serial: 'F'}, slow: {serial: 'S'}},
	arrays: {mirror: {level: 'raid1', members: ['left', 'right']}},
	groups: {vg0: {members: ['fast'], volumes: {images: {size: '2G'}, scratch: {size: 'rest'}}}},
	filesystems: {
		images: {on: 'vg0/images', type: 'xfs', mount: '/srv/images'},
		scratch: {on: 'vg0/scratch', type: 'ext4', mount: '/srv/scratch'},
		data: {on: 'mirror', type: 'btrfs', mount: '/srv/data'},
	},
	pools: {tank: {vdevs: [{type: 'disk', members: ['slow']}], datasets: {photos: {mount: '/srv/photos'}}}},
});

const containersAt = (path: string) =>
	({users: {apps: {units: {'db.container': `[Container]\nVolume=${path}:/var/lib/db\n`}}}}) as never;

const machine = {
	schema: 1,
	profile: 'test',
	...Object.fromEntries(
		['install', 'identity', 'network', 'firewall', 'hardening', 'kubernetes'].map(name => [name, {}]),
	),
	storage,
	virtualization: {pools: {fast: {path: '/srv/images'}}},
	containers: containersAt('/home/apps/db'),
} as unknown as Machine;

/** Runs the sequence with phases that only fail where they are said to, and gives what each did. */
async function run(fails: Record<string, Error>, given: Machine = machine) {
	const seen: Record<string, unknown> = {};
	const phaseOf = (name: string): Phase => ({
		packages: [],
		plan: async section => {
			seen[name] = section;
			if (fails[name]) throw fails[name];
			return [];
		},
	});
	const sequence = sequences.provision.map((entry): Entry => ({...entry, phase: phaseOf(entry.name)}));
	const phases = sequence.map(({name}) => name);
	const status = new Status(
		{sequence: 'provision', profile: 'test', buildId: '1', process: {pid: 1, boot: 'b'}, phases},
		() => {},
		async () => {},
	);
	const door = {probe: probeRecord({commands: {}, files: {}}), apply: async () => {}};
	const {done} = await converge(sequence, given, door, status);
	const held = status.record.phases.filter(({state}) => state === 'held').map(({name}) => name);
	return {done, held, seen, status};
}

const storagePhases = sequences.provision.filter(({section}) => section === 'storage').map(({name}) => name);

test('what a phase needs comes before it', t => {
	for (const [name, sequence] of Object.entries(sequences))
		for (const [index, {after}] of sequence.entries()) {
			const earlier = sequence.slice(0, index).map(({name}) => name);
			t.deepEqual(
				after.filter(one => !earlier.includes(one)),
				[],
				name,
			);
		}
});

test('on the medium, and in a golden image, everything needs all before it', async t => {
	for (const name of ['install', 'choose', 'claim', 'complete', 'template'] as const)
		for (const [index, {after}] of sequences[name].entries()) t.is(after.length, index, name);
});

const holds: Record<string, string[]> = {
	recovery: [],
	seal: ['virtualization', 'containers', 'kubernetes'],
	identity: ['virtualization', 'kubernetes'],
	'first-firewall': [],
	link: ['network', 'kubernetes'],
	network: ['kubernetes'],
	report: [],
	firewall: ['containers', 'kubernetes'],
	hardening: [],
	'data-disks': [...storagePhases.slice(1), 'virtualization'],
	arrays: [],
	groups: ['virtualization'],
	filesystems: ['mounts', 'subvolumes', 'virtualization'],
	mounts: ['subvolumes', 'virtualization'],
	subvolumes: ['virtualization'],
	pools: ['datasets'],
	datasets: [],
	virtualization: [],
	containers: [],
	kubernetes: [],
};

for (const {name} of sequences.provision)
	test(`when ${name} fails, this is held back: ${holds[name]?.join(', ') || 'nothing'}`, async t => {
		const {done, held} = await run({[name]: new Error('it failed')});
		t.false(done);
		t.deepEqual(held, holds[name]);
	});

test('a change of the network that was taken back before holds nothing back, and is a failure', async t => {
	const {done, held} = await run({network: new GivenUp('this network was tried and taken back')});
	t.false(done);
	t.deepEqual(held, []);
});

const missing = (name: string) => ({'data-disks': new PartsError(new Map([[name, new Error('no such disk')]]), [])});

test('a missing disk of a mirror holds back only the mirror, and what lies on it', async t => {
	const {held, seen, status} = await run(missing('left'));
	t.deepEqual(held, ['arrays']);
	const rest = seen['filesystems'] as typeof storage;
	t.deepEqual(Object.keys(rest.disks), ['right', 'fast', 'slow']);
	t.deepEqual(Object.keys(rest.groups), ['vg0']);
	t.deepEqual(Object.keys(rest.filesystems), ['images', 'scratch']);
	t.deepEqual(status.record.phases.find(({name}) => name === 'mounts')?.heldBy, ['data-disks']);
	t.truthy(seen['virtualization']);
});

test('who has data on what failed is held back: by path, above it, below it, by group, by dataset', async t => {
	const uses: [section: object, disk: string, held: boolean][] = [
		[{containers: containersAt('/srv/data')}, 'left', true],
		[{containers: containersAt('/srv/data/db')}, 'left', true],
		[{containers: containersAt('/srv')}, 'left', true],
		[{containers: containersAt('/srv/data-2')}, 'left', false],
		[{containers: containersAt('/srv/data')}, 'fast', false],
		[{containers: containersAt('/srv/photos')}, 'slow', true],
		[{virtualization: {pools: {fast: {volumeGroup: 'vg0'}}}}, 'fast', true],
		[{virtualization: {pools: {fast: {volumeGroup: 'vg1'}}}}, 'fast', false],
		[{virtualization: {pools: {fast: {dataset: 'tank/vms'}}}}, 'slow', true],
		[{virtualization: {pools: {fast: {dataset: 'tank'}}}}, 'slow', true],
		[{virtualization: {pools: {fast: {path: '/srv/images/pool'}}}}, 'right', false],
	];
	for (const [section, disk, expected] of uses) {
		const {held} = await run(missing(disk), {...machine, ...section} as Machine);
		const name = Object.keys(section)[0] ?? '';
		t.is(held.includes(name), expected, `${JSON.stringify(section)} without ${disk}`);
	}
});

test('who keeps data where a lost disk should be mounted is held back though the profile does not say so', async t => {
	const home = {
		...storage,
		filesystems: {...storage.filesystems, data: {...storage.filesystems['data'], mount: '/home'}},
	};
	t.true((await run(missing('left'), {...machine, storage: home} as Machine)).held.includes('containers'));
});

test('a section that the profile lacks is skipped, whatever failed', async t => {
	const {kubernetes: _, ...rest} = machine;
	const {held, status} = await run({network: new Error('no cable')}, rest as Machine);
	t.deepEqual(held, []);
	t.is(status.record.phases.at(-1)?.state, 'skipped');
});
