import test from 'ava';
import {chooseDisk, findMismatch} from './choice.ts';
import {type Install, installSchema, listBlockDevices, parseSize, readDisks} from './disks.ts';
import {probeRecord} from './record.ts';

interface Row {
	name: string;
	type?: string;
	size?: number | string;
	model?: string | null;
	serial?: string | null;
	wwn?: string | null;
	tran?: string | null;
	rm?: boolean;
	ro?: boolean;
	fstype?: string | null;
	partlabel?: string;
	mountpoints?: (string | null)[];
	children?: Row[];
}

function fill({children, ...row}: Row): object {
	const blank = {
		type: 'disk',
		size: 512e9,
		model: null,
		serial: null,
		wwn: null,
		tran: null,
		rm: false,
		ro: false,
		fstype: null,
		label: null,
		pttype: null,
		partlabel: null,
	};
	return {
		path: `/dev/${row.name}`,
		mountpoints: [null],
		...blank,
		...row,
		...(children ? {children: children.map(fill)} : {}),
	};
}

function machine(rows: Row[], files: Record<string, string> = {}) {
	const numbers = rows.map(({name}, index) => [`/sys/block/${name}/diskseq`, `${index + 1}\n`]);
	return probeRecord({
		commands: {[listBlockDevices.join(' ')]: {blockdevices: rows.map(fill)}},
		files: {...Object.fromEntries(numbers), ...files},
	});
}

const install = (disk: Install['disk']): Install => installSchema.parse({disk});

const nvme: Row = {name: 'nvme0n1', model: 'EXAMPLE 990', serial: 'S1', wwn: 'eui.01', tran: 'nvme'};
const twin: Row = {name: 'nvme1n1', model: 'EXAMPLE 990', serial: 'S2', wwn: 'eui.02', tran: 'nvme'};
const stick: Row = {
	name: 'sda',
	model: 'Stick',
	serial: 'U1',
	tran: 'usb',
	size: 8e9,
	children: [{name: 'sda1', type: 'part', fstype: 'iso9660', mountpoints: ['/run/live/medium']}],
};

const chosen: [title: string, rows: Row[], selector: Install['disk'], name: string][] = [
	['the only disk is taken', [nvme], {minSize: '16G'}, 'nvme0n1'],
	['the boot medium is no candidate, traced through its partition', [stick, nvme], {minSize: '1G'}, 'nvme0n1'],
	[
		'of two disks of one model and size the serial tells',
		[nvme, twin],
		{model: 'EXAMPLE 990', serial: 'S2'},
		'nvme1n1',
	],
	['of two disks of one model and size the wwid tells', [twin, nvme], {wwid: 'eui.01'}, 'nvme0n1'],
	[
		'fields are combined by and',
		[nvme, {...nvme, name: 'sdb', tran: 'sata'}],
		{serial: 'S1', transport: 'sata'},
		'sdb',
	],
	[
		'lsblk says 0x where sysfs says naa.',
		[{...nvme, wwn: '0x5002538F12345678'}],
		{wwid: 'naa.5002538f12345678'},
		'nvme0n1',
	],
	['a star stands for any characters', [nvme, {name: 'sdb', model: 'Other'}], {model: 'EXAMPLE*'}, 'nvme0n1'],
	[
		'a USB bridge that is not removable is a disk like another',
		[stick, {name: 'sdb', tran: 'usb', model: 'Bridge', serial: '0123'}],
		{transport: 'usb'},
		'sdb',
	],
	['sizes are a range', [{...nvme, size: 256e9}, twin], {minSize: '200GB', maxSize: '300GB'}, 'nvme0n1'],
	[
		'the areas of an eMMC for boot loaders are no disks',
		[
			{name: 'mmcblk0', serial: 'M'},
			{name: 'mmcblk0boot0', serial: 'M', size: 4194304},
		],
		{serial: 'M'},
		'mmcblk0',
	],
	['an SD card is mmc', [{name: 'mmcblk0', size: 64e9}], {transport: 'mmc'}, 'mmcblk0'],
];

for (const [title, rows, selector, name] of chosen) {
	test(title, async t => {
		t.is((await chooseDisk(install(selector), machine(rows))).name, name);
	});
}

const refused: [title: string, rows: Row[], selector: Install['disk'], reason: RegExp][] = [
	[
		'two disks that match are refused',
		[nvme, twin],
		{minSize: '16G'},
		/matches 2[\s\S]*nvme0n1[\s\S]*nvme1n1[\s\S]*one of these lines:\n {2}install: \{disk: \{wwid: "eui\.01"\}\}/,
	],
	[
		'no disk that matches is refused, and all are shown',
		[nvme, stick],
		{serial: 'S9'},
		/matches 0[\s\S]*its serial is not S9[\s\S]*it is the boot medium/,
	],
	[
		'a serial that YAML would take for a number is told in quotes',
		[{name: 'mmcblk0', serial: '0x1a2b3c4d'}, nvme],
		{minSize: '1G'},
		/disk: \{serial: "0x1a2b3c4d"\}\}/,
	],
	[
		'of disks that share a serial the model is told',
		[
			{...nvme, wwn: null},
			{...twin, wwn: null, serial: 'S1', model: 'OTHER'},
		],
		{serial: 'S1'},
		/one of these lines:\n {2}install: \{disk: \{serial: "S1", model: "EXAMPLE 990"\}\}/,
	],
	[
		'where nothing tells disks apart nothing is told',
		[nvme, {...nvme, name: 'nvme1n1'}],
		{wwid: 'eui.01'},
		/No wwid, serial or model tells these disks apart: take out all but one$/,
	],
	[
		'of the one disk that matches and cannot be taken the reason is told',
		[{...nvme, rm: true}, twin],
		{serial: 'S1'},
		/nothing was changed\. nvme0n1 matches and cannot be taken: it is removable$/,
	],
	['a disk without a serial does not match one', [{name: 'vda', tran: null}], {serial: 'S1'}, /matches 0/],
	['a disk without a model does not match one', [{name: 'vda'}], {model: '*x'}, /matches 0/],
	['a removable disk is no candidate', [{...nvme, rm: true}], {serial: 'S1'}, /it is removable/],
	['a read-only disk is no candidate', [{...nvme, ro: true}], {serial: 'S1'}, /it is read-only/],
	['an empty card reader is no candidate', [{...nvme, size: 0}], {serial: 'S1'}, /its size is zero/],
	['a disk in use is no candidate', [{...nvme, mountpoints: ['/data']}], {serial: 'S1'}, /mounted at \/data/],
	[
		'one path of a multipath device is no candidate',
		[{...nvme, children: [{name: 'mpatha', type: 'mpath'}]}],
		{serial: 'S1'},
		/multipath/,
	],
	['two paths to one disk are two matches', [nvme, {...nvme, name: 'nvme0c1n1'}], {wwid: 'eui.01'}, /matches 2/],
	['a machine without a disk says so', [], {minSize: '1G'}, /no disk at all/],
];

for (const [title, rows, selector, reason] of refused) {
	test(title, async t => {
		await t.throwsAsync(chooseDisk(install(selector), machine(rows)), {message: reason});
	});
}

test('the target while it is being made stays a candidate', async t => {
	const mounted = {
		...nvme,
		children: [
			{name: 'nvme0n1p3', type: 'part', mountpoints: ['/target']},
			{name: 'nvme0n1p2', type: 'part', mountpoints: ['/target/boot/efi']},
		],
	};
	const disk = await chooseDisk(
		install({serial: 'S1'}),
		machine([mounted], {'/sys/class/block/nvme0n1p3/partition': '3\n', '/sys/class/block/nvme0n1p2/partition': '2\n'}),
	);
	t.deepEqual(disk.partitions, [3, 2]);
	t.is(disk.path, '/dev/disk/by-diskseq/1');
});

test('a disk is named by its sequence number, or not at all', async t => {
	const probe = probeRecord({commands: {[listBlockDevices.join(' ')]: {blockdevices: [fill(nvme)]}}, files: {}});
	await t.throwsAsync(readDisks(probe), {message: /no disk sequence number/});
});

test('no install takes a disk that is a data disk by its partition or by a selector of the profile', async t => {
	const data = {...twin, children: [{name: 'nvme1n1p1', type: 'part', partlabel: 'bringup-left'}]};
	const files = {'/sys/class/block/nvme1n1p1/partition': '1\n'};
	t.is((await chooseDisk(install({model: 'EXAMPLE*'}), machine([nvme, data], files))).name, 'nvme0n1');
	const beside = {...install({minSize: '16G'}), dataDisks: {left: {serial: 'S2'}}};
	t.is((await chooseDisk(beside, machine([nvme, twin]))).name, 'nvme0n1');
	await t.throwsAsync(chooseDisk({...beside, disk: {serial: 'S2'}}, machine([nvme, twin])), {
		message: /nvme1n1 matches and cannot be taken: storage\.disks\.left matches it too/,
	});
});

test('a blank selector is refused, and blanks around one are not part of it', t => {
	for (const disk of [{serial: ' '}, {wwid: '\t'}, {model: '  '}, {model: '*'}, {model: ' ** '}])
		t.false(installSchema.safeParse({disk}).success, JSON.stringify(disk));
	t.is(installSchema.parse({disk: {serial: ' S1 '}}).disk.serial, 'S1');
});

test("the partitions of an array that lies on a disk are not the disk's own", async t => {
	const array = {name: 'md126', type: 'raid0', children: [{name: 'md126p1', type: 'part'}]};
	const files = {'/sys/class/block/md126p1/partition': '1\n', '/sys/class/block/nvme0n1p3/partition': '3\n'};
	const [disk] = await readDisks(machine([{...nvme, children: [array, {name: 'nvme0n1p3', type: 'part'}]}], files));
	t.deepEqual(disk?.partitions, [3]);
});

test('a tool that fails is not an empty machine', async t => {
	await t.throwsAsync(chooseDisk(install({minSize: '1G'}), probeRecord({commands: {}, files: {}})), {
		message: /no answer to: lsblk/,
	});
});

test('what is on a disk is told by partition', async t => {
	const used = {
		...nvme,
		children: [
			{name: 'nvme0n1p1', type: 'part', fstype: 'vfat'},
			{name: 'nvme0n1p2', type: 'part', fstype: 'LVM2_member'},
		],
	};
	const files = {'/sys/class/block/nvme0n1p1/partition': '1', '/sys/class/block/nvme0n1p2/partition': '2'};
	const [disk] = await readDisks(machine([used], files));
	t.is(disk?.contents, 'nvme0n1p1: vfat, nvme0n1p2: LVM2_member');
});

test('G counts in powers of 1024, GB in powers of 1000', t => {
	t.is(parseSize('1.5K'), 1536);
	t.is(parseSize('20G'), 20 * 2 ** 30);
	t.is(parseSize('500GB'), 500e9);
});

test('a model with a dot or bracket is taken literally', async t => {
	const [disk] = await readDisks(machine([{...nvme, model: 'A.B (C)'}]));
	t.truthy(disk);
	if (!disk) return;
	t.is(findMismatch({model: 'A.B (C)'}, disk), undefined);
	t.regex(findMismatch({model: 'AxB (C)'}, disk) ?? '', /its model is not/);
});
