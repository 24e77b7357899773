import test from 'ava';
import {probeRecord, type RecordedMachine} from '../record.ts';
import {storageSchema} from '../volumes.ts';
import {defaults} from '../zfs.ts';
import {planModule} from '../zfs-module.ts';
import {
	blank,
	claimed,
	commandsOf,
	disk,
	machine,
	ours,
	part,
	planAll,
	planOne,
	system,
} from './storage.test.machine.ts';

const given = {
	disks: {left: {serial: 'LEFT'}, right: {serial: 'RIGHT'}, fast: {serial: 'FAST'}},
	pools: {
		tank: {
			vdevs: [{type: 'mirror', members: ['left', 'right']}],
			properties: {atime: 'off'},
			datasets: {
				'photos/raw': {mount: '/srv/raw', properties: {recordsize: '1M'}},
				photos: {mount: '/srv/photos', properties: {quota: '100G'}},
			},
		},
		scratch: {vdevs: [{type: 'disk', members: ['fast']}]},
	},
};

const mok = {password: 'confirm-me'};
const unlocked = {'/sys/kernel/security/lockdown': '[none] integrity confidentiality\n'};
const locked = {
	'/sys/kernel/security/lockdown': 'none [integrity] confidentiality\n',
	'/proc/sys/kernel/osrelease': '6.12.117+deb13-amd64\n',
};
const loaded = {'/sys/module/zfs/version': '2.3.9-0+deb13u1\n', '/etc/hostid': 'xxxx'};

const withFiles = (found: RecordedMachine, files: Record<string, string>): RecordedMachine => ({
	...found,
	files: {'/etc/machine-id': `0123abcd${'0'.repeat(24)}\n`, ...found.files, ...files},
});

const member = (label: string) => ({fstype: 'zfs_member', label});
const members = [
	system,
	ours('sdb', 'left', member('tank')),
	ours('sdc', 'right', member('tank')),
	ours('sdd', 'fast', member('scratch')),
];

const line = (...fields: string[]) => `${fields.join('\t')}\n`;

const path = (disk: string) => `/dev/disk/by-partlabel/bringup-${disk}`;
const leaf = (disk: string) => ({[path(disk)]: {vdev_type: 'disk', path: path(disk), class: 'normal'}});
const mirror = {'mirror-0': {vdev_type: 'mirror', class: 'normal', vdevs: {...leaf('left'), ...leaf('right')}}};
const pool = (name: string, vdevs: object) => ({[name]: {name, vdevs: {[name]: {vdev_type: 'root', vdevs}}}});
const listed = (tank: object = mirror) => ({pools: {...pool('scratch', leaf('fast')), ...pool('tank', tank)}});
const list = 'zpool status --json';

const properties = (more: Record<string, Record<string, string>> = {}) => {
	const all: Record<string, Record<string, string>> = {
		scratch: defaults,
		tank: {...defaults, atime: 'off'},
		'tank/photos': {mountpoint: '/srv/photos', quota: String(100 * 2 ** 30), mounted: 'yes'},
		'tank/photos/raw': {mountpoint: '/srv/raw', recordsize: '1048576', mounted: 'yes'},
		...more,
	};
	return Object.entries(all)
		.flatMap(([name, values]) => Object.entries(values).map(([property, value]) => line(name, property, value)))
		.join('');
};

const timers = ['zfs-scrub-monthly@tank.timer', 'zfs-scrub-monthly@scratch.timer'];
const done = (commands: Record<string, unknown> = {}) =>
	withFiles(
		machine(members, {
			[list]: listed(),
			'zfs get -H -p -t filesystem -o name,property,value all': properties(),
			'systemctl list-units --all --plain --no-legend --full': timers
				.map(timer => `${timer} loaded active waiting ${timer}\n`)
				.join(''),
			'find /etc/systemd/system -mindepth 2 -type l -printf %f\n': timers.map(timer => `${timer}\n`).join(''),
			...commands,
		}),
		{...unlocked, ...loaded, ...claimed()},
	);

test('blank disks become pools with datasets, in one plan', async t => {
	const plans = await planAll(given, withFiles(machine(blank), unlocked));
	const options =
		'-o ashift=12 -o autotrim=on -O mountpoint=none -O canmount=off -O compression=on -O xattr=on -O acltype=posix -O relatime=on';
	t.deepEqual(commandsOf(plans['pools']), [
		'modprobe zfs',
		'zgenhostid -f 0123abcd',
		'sync /etc/hostid',
		`zpool create ${options} -O atime=off tank mirror /dev/disk/by-partlabel/bringup-left /dev/disk/by-partlabel/bringup-right`,
		`zpool create ${options} scratch /dev/disk/by-partlabel/bringup-fast`,
		`systemctl enable --now ${timers.join(' ')}`,
	]);
	t.deepEqual(commandsOf(plans['datasets']), [
		'zfs create -p -o mountpoint=/srv/photos -o quota=100G tank/photos',
		'zfs create -p -o mountpoint=/srv/raw -o recordsize=1M tank/photos/raw',
	]);
});

test('pools that are as the profile says need nothing', async t => {
	t.deepEqual(Object.values(await planAll(given, done())).flat(), []);
});

test('a property that differs is set, a dataset that is not mounted is mounted', async t => {
	const found = properties({
		tank: {...defaults, atime: 'on'},
		'tank/photos': {mountpoint: '/srv/photos', quota: '0', mounted: 'no'},
	});
	const steps = await planOne(
		'datasets',
		given,
		done({[`zfs get -H -p -t filesystem -o name,property,value all`]: found}),
	);
	t.deepEqual(commandsOf(steps), ['zfs set atime=off tank', 'zfs set quota=100G tank/photos', 'zfs mount tank/photos']);
});

test('a pool that runs without a member is told, and one that is being mended goes on', async t => {
	const state = (more: object) => {
		const {pools} = listed();
		return done({[list]: {pools: {...pools, tank: {...pools['tank'], state: 'DEGRADED', ...more}}}});
	};
	await t.throwsAsync(planOne('pools', given, state({})), {
		message: /runs without some of its members\n.*zpool status tank/,
	});
	t.deepEqual(await planOne('pools', given, state({scan_stats: {function: 'RESILVER', state: 'SCANNING'}})), []);
});

test('a pool that another system had is taken back, and its disks are not touched', async t => {
	t.deepEqual(commandsOf(await planOne('pools', given, done({[list]: {pools: {}}}))), [
		'zpool import -f -d /dev/disk/by-partlabel tank',
		'zpool import -f -d /dev/disk/by-partlabel scratch',
	]);
});

test('a disk that is being replaced is one member', async t => {
	const replacing = {'replacing-0': {vdev_type: 'replacing', vdevs: {old: {path: path('left')}, ...leaf('left')}}};
	const tank = {'mirror-0': {vdev_type: 'mirror', class: 'normal', vdevs: {...replacing, ...leaf('right')}}};
	t.deepEqual(await planOne('pools', given, done({[list]: listed(tank)})), []);
});

test('what differs is refused with a picture of both', async t => {
	const foreign = [system, ours('sdb', 'left', {fstype: 'ext4', label: 'home'}), ...members.slice(2)];
	await t.throwsAsync(planOne('pools', given, withFiles(machine(foreign, {[list]: {pools: {}}}), loaded)), {
		message: [
			'the pool tank is not as the profile says',
			'  wanted  mirror of left, right',
			'  found   left holds ext4 "home"',
			'if it may go: wipefs --all /dev/disk/by-partlabel/bringup-left',
		].join('\n'),
	});
	const replaced = [system, ours('sdb', 'left'), ...members.slice(2)];
	await t.throwsAsync(planOne('pools', given, withFiles(machine(replaced, {[list]: listed()}), loaded)), {
		message: /found {3}left is blank\n.*zpool replace tank OLD \/dev\/disk\/by-partlabel\/bringup-left/,
	});
	const striped = listed({...leaf('left'), ...leaf('right')});
	await t.throwsAsync(planOne('pools', given, done({[list]: striped})), {
		message: /wanted {2}mirror of 2\n {2}found {3}disk; disk\n/,
	});
	const foreignPool = listed({
		'mirror-0': {vdev_type: 'mirror', vdevs: {sdx1: {path: '/dev/sdx1'}, sdy1: {path: '/dev/sdy1'}}},
	});
	await t.throwsAsync(planOne('pools', given, done({[list]: foreignPool})), {
		message: /found {3}on \/dev\/sdx1, \/dev\/sdy1\n.*zpool export tank/,
	});
});

test('a member of a foreign pool is cleared of what zpool knows it by, where wipe is said', async t => {
	const old = disk('sdb', 'LEFT', {pttype: 'gpt', children: [part('sdb1', 'zfs-1', {...member('old')})]});
	const wiping = {...given, disks: {...given.disks, left: {serial: 'LEFT', wipe: true}}};
	const found = machine([system, old, ...blank.slice(2)]);
	const steps = commandsOf(await planOne('data-disks', wiping, withFiles(found, unlocked)));
	const erase = ['zpool labelclear -f', 'wipefs --all'].map(command => `${command} /dev/disk/by-diskseq/2-part1`);
	t.deepEqual(steps.filter(step => !step.startsWith('write')).slice(0, 3), ['modprobe zfs', ...erase]);
	await t.throwsAsync(planOne('data-disks', wiping, withFiles(found, locked)), {message: /storage\.mok/});
});

const fingerprint = '62b1f8a9';
const keyed = (commands: Record<string, string>) =>
	withFiles(
		machine(blank, {
			'modinfo --field sig_key spl': '12:34\n',
			'modinfo --field sig_key zfs': '12:34\n',
			'sha1sum /var/lib/dkms/mok.pub': `${fingerprint}  /var/lib/dkms/mok.pub\n`,
			'mokutil --list-enrolled': '[key 1]\nSHA1 Fingerprint: aa:bb:cc:dd\n',
			'mokutil --list-new': '',
			...commands,
		}),
		{...locked, '/var/lib/dkms/mok.pub': '(der)', '/var/lib/dkms/mok.key': '(pem)'},
	);

test('under Secure Boot the module waits for a key that a person confirms', async t => {
	const secured = storageSchema.parse({...given, mok});
	const plan = async (found: RecordedMachine) => commandsOf((await planModule(secured, probeRecord(found))).steps);
	const folder = '/lib/modules/6.12.117+deb13-amd64/updates/dkms';
	const sign = [
		`cp ${folder}/zfs.ko.xz ${folder}/zfs.ko.new.xz`,
		`xz --decompress --force ${folder}/zfs.ko.new.xz`,
		`/lib/modules/6.12.117+deb13-amd64/build/scripts/sign-file sha256 /var/lib/dkms/mok.key /var/lib/dkms/mok.pub ${folder}/zfs.ko.new`,
		`xz --check=crc32 --lzma2=dict=1MiB --force ${folder}/zfs.ko.new`,
		`sync ${folder}/zfs.ko.new.xz`,
		`mv --no-target-directory ${folder}/zfs.ko.new.xz ${folder}/zfs.ko.xz`,
	];
	const unsigned = {'modinfo --field sig_key zfs': '\n'};
	const make = [
		'rm --force /var/lib/dkms/mok.key /var/lib/dkms/mok.pub',
		'dkms generate_mok',
		'sync /var/lib/dkms/mok.key /var/lib/dkms/mok.pub',
	];
	const half = withFiles(keyed(unsigned), {'/var/lib/dkms/mok.key': ''});
	const ask = 'mokutil --import /var/lib/dkms/mok.pub';
	const both = [...sign.map(line => line.replaceAll('/zfs.ko', '/spl.ko')), ...sign];
	t.deepEqual(await plan(half), [...make, ...both, ask], 'what another key has signed is signed anew');
	t.deepEqual(
		commandsOf(await planOne('pools', {...given, mok}, half)),
		[...make, ...both, ask],
		'and no pool before it',
	);
	t.deepEqual(await plan(keyed(unsigned)), [...sign, ask]);
	t.deepEqual(await plan(keyed({})), [ask]);
	await t.throwsAsync(plan(keyed({'mokutil --list-new': 'SHA1 Fingerprint: 62:b1:f8:a9\n'})), {
		message: /restart the machine[\s\S]*Enroll MOK, Continue, Yes/,
	});
	t.deepEqual(await plan(keyed({'mokutil --list-enrolled': 'SHA1 Fingerprint: 62:b1:f8:a9\n'})), ['modprobe zfs']);
	await t.throwsAsync(planOne('pools', given, withFiles(machine(blank), locked)), {message: /storage\.mok/});
});

test('a profile without pools asks nothing of ZFS, and brings nothing of it', async t => {
	const fields = {disks: {left: {serial: 'LEFT'}}};
	for (const phase of ['pools', 'datasets']) t.deepEqual(await planOne(phase, fields, {commands: {}, files: {}}), []);
});
