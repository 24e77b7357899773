import test from 'ava';
import {planVolumes, readStorage} from './domain-disks.ts';
import {foldersOf} from './folders.test.machine.ts';
import type {Step} from './phase.ts';
import {probeRecord} from './record.ts';
import {placeDomains, virtualizationSchema} from './virtualization.ts';

const sha256 = 'a'.repeat(64);
const asset = `/var/lib/bringup/assets/${sha256}`;
const from = {asset: {file: 'golden.qcow2', sha256}};
const folder = '/srv/vms';
const gib = 2 ** 30;
const disk = {pool: 'images', size: '8G'};
const volumes =
	'lvs --reportformat json --units b --nosuffix --options vg_name,lv_name,lv_size,vg_extent_size,lv_layout';

const segments = 'pvs --segments --reportformat json --options vg_name,pv_name,pv_attr,pvseg_start,pvseg_size,segtype';
const segment = (pv_name: string, pvseg_start: string, pvseg_size: string, segtype = 'free', pv_attr = 'a--') => {
	return {vg_name: 'vg0', pv_name, pv_attr, pvseg_start, pvseg_size, segtype};
};
const free = [
	{...segment('/dev/sdz1', '0', '999'), vg_name: 'other'},
	segment('/dev/sdb1', '0', '128', 'linear'),
	segment('/dev/sdb1', '128', '100'),
	segment('/dev/sdx1', '0', '999', 'free', 'u--'),
	segment('/dev/sdc1', '0', '64'),
];

/** The first bytes of a qcow2 file. */
const header = (bytes: number) =>
	Buffer.from(`514649fb00000003${'00'.repeat(16)}${bytes.toString(16).padStart(16, '0')}`, 'hex').toString('latin1');

interface Found {
	files?: Record<string, string>;
	logical?: Record<string, number>;
	zvols?: Record<string, number>;
	running?: boolean;
	layout?: string;
}

async function plan(
	disks: object[],
	{files = {}, logical = {}, zvols = {}, running = false, layout = 'linear'}: Found = {},
): Promise<Step[]> {
	const domains = placeDomains(
		virtualizationSchema.parse({
			pools: {images: {path: folder}, fast: {volumeGroup: 'vg0'}, zfs: {dataset: 'tank/vms'}},
			domains: {one: {cpus: 1, memory: '1G', disks}},
		}),
		'0'.repeat(32),
	);
	const lv = Object.entries(logical).map(([lv_name, bytes]) => {
		return {vg_name: 'vg0', lv_name, lv_size: String(bytes), vg_extent_size: '4194304', lv_layout: layout};
	});
	const probe = probeRecord({
		commands: {
			[volumes]: {report: [{lv}]},
			[segments]: {report: [{pvseg: free}]},
			'zfs list -H -p -t volume -o name,volsize,volblocksize': Object.entries(zvols)
				.map(([name, bytes]) => `tank/vms/${name}\t${bytes}\t16384\n`)
				.join(''),
		},
		files: {[`${folder}/`]: '', ...foldersOf(Object.keys(files)), ...files},
	});
	const all = domains.flatMap(({volumes}) => volumes);
	return planVolumes(domains, await readStorage([folder], all, probe), new Set(running ? ['one'] : []), probe);
}

const lines = (steps: readonly Step[]) => steps.flatMap(step => (step.do === 'run' ? [step.command.join(' ')] : []));
const path = `${folder}/one-0.qcow2`;
const whole = [
	`qemu-img resize -f qcow2 ${path}.new 8589934592`,
	`chmod 0600 ${path}.new`,
	`sync ${path}.new`,
	`mv --no-target-directory ${path}.new ${path}`,
];

test('a copied disk has its name only when it is whole', async t => {
	const make = `qemu-img convert -f qcow2 -O qcow2 ${asset} ${path}.new`;
	t.deepEqual(lines(await plan([{...disk, from}])), [make, ...whole]);
	t.deepEqual(lines(await plan([{...disk, from}], {files: {[`${path}.new`]: ''}})), [make, ...whole]);
});

test('disks that build on one golden image share its copy beside them', async t => {
	const base = `${folder}/base-aaaaaaaaaaaaaaaa.qcow2`;
	const backing = {...disk, from, how: 'backing'};
	const make = `qemu-img create -f qcow2 -F qcow2 -b ${base} ${path}.new`;
	const both = lines(await plan([backing, backing]));
	t.deepEqual(both.slice(0, 4), [
		`cp --reflink=auto ${asset} ${base}.new`,
		`sync ${base}.new`,
		`mv --no-target-directory ${base}.new ${base}`,
		make,
	]);
	t.is(both.filter(line => line.startsWith('cp ')).length, 1);
	t.deepEqual(lines(await plan([backing], {files: {[base]: ''}})), [make, ...whole]);
});

test('a whole disk needs nothing, and one that is there is never made again', async t => {
	t.deepEqual(await plan([{...disk, from}], {files: {[path]: header(8 * gib)}}), []);
});

test('a disk grows, through libvirt while its domain runs, and never shrinks', async t => {
	const files = {[path]: header(4 * gib)};
	t.deepEqual(lines(await plan([disk], {files})), [`qemu-img resize -f qcow2 ${path} 8589934592`]);
	t.deepEqual(lines(await plan([disk], {files, running: true})), [`virsh blockresize one ${path} 8589934592b`]);
	await t.throwsAsync(plan([disk], {files: {[path]: header(9 * gib)}}), {
		message: /one-0\.qcow2 has 9G and the profile says 8G: a disk is never made smaller/,
	});
});

test('a file that is no qcow2 where a disk shall be is not touched', async t => {
	await t.throwsAsync(plan([disk], {files: {[path]: ' 00'.repeat(32)}}), {message: /no qcow2 file.*move it away/});
});

const fast = {pool: 'fast', size: '1G'};

test('a logical volume is filled under another name; what a power cut left of one is removed', async t => {
	t.deepEqual(lines(await plan([{...fast, from}], {logical: {'one-0.new': gib}})), [
		'lvremove --yes vg0/one-0.new',
		'lvcreate --yes --wipesignatures y --size 1073741824b --name one-0.new vg0',
		'blkdiscard --zeroout /dev/vg0/one-0.new',
		`qemu-img convert -n --target-is-zero -f qcow2 -O raw ${asset} /dev/vg0/one-0.new`,
		'sync /dev/vg0/one-0.new',
		'lvrename vg0 one-0.new one-0',
	]);
});

test('a logical volume without an image is empty: what a deleted one had there is gone', async t => {
	t.deepEqual(lines(await plan([fast])), [
		'lvcreate --yes --wipesignatures y --size 1073741824b --name one-0.new vg0',
		'blkdiscard --zeroout /dev/vg0/one-0.new',
		'sync /dev/vg0/one-0.new',
		'lvrename vg0 one-0.new one-0',
	]);
});

test('a logical volume may be larger by part of an extent; it grows, and never shrinks', async t => {
	t.deepEqual(await plan([fast], {logical: {'one-0': gib + 4194303}}), []);
	const ranges = '/dev/sdb1:128-227 /dev/sdc1:0-27';
	const grow = [
		`lvcreate --yes --zero n --wipesignatures n --extents 128 --name one-0.new vg0 ${ranges}`,
		'blkdiscard --zeroout /dev/vg0/one-0.new',
		'sync /dev/vg0/one-0.new',
		'lvremove --yes vg0/one-0.new',
		`lvextend /dev/vg0/one-0 ${ranges}`,
	];
	const tell = 'virsh blockresize one /dev/vg0/one-0 1073741824b';
	t.deepEqual(lines(await plan([fast], {logical: {'one-0': gib / 2}, running: true})), [...grow, tell]);
	const cut = {'one-0': gib / 2, 'one-0.new': gib / 2};
	t.deepEqual(lines(await plan([fast], {logical: cut})), ['lvremove --yes vg0/one-0.new', ...grow]);
	t.deepEqual(lines(await plan([fast], {logical: {'one-0': gib / 2}, layout: 'thin,sparse'})), [
		'lvextend --size 1073741824b /dev/vg0/one-0',
	]);
	await t.throwsAsync(plan([{...fast, size: '2G'}], {logical: {'one-0': gib / 2}}), {
		message: /vg0 has 220 free extents too few/,
	});
	await t.throwsAsync(plan([fast], {logical: {'one-0': 2 * gib}}), {message: /has 2G and the profile says 1G/});
});

test('a volume of ZFS is treated like a logical one', async t => {
	const tank = {pool: 'zfs', size: '1G'};
	t.deepEqual(lines(await plan([{...tank, from}], {zvols: {'one-0.new': gib}})), [
		'zfs destroy tank/vms/one-0.new',
		'zfs create -p -V 1073741824 tank/vms/one-0.new',
		'udevadm settle',
		`qemu-img convert -n -f qcow2 -O raw ${asset} /dev/zvol/tank/vms/one-0.new`,
		'sync /dev/zvol/tank/vms/one-0.new',
		'zfs rename tank/vms/one-0.new tank/vms/one-0',
		'udevadm settle',
	]);
	t.deepEqual(await plan([tank], {zvols: {'one-0': gib}}), []);
	t.deepEqual(lines(await plan([tank], {zvols: {'one-0': gib / 2}})), ['zfs set volsize=1073741824 tank/vms/one-0']);
});
