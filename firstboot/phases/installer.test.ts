import test from 'ava';
import {mountsOf} from '../folders.test.machine.ts';
import {clear} from './clear.ts';
import {deliver} from './deliver.ts';
import {commandsOf, config, device, layout, machine, made, signatures, table} from './install.test.machine.ts';
import {mark} from './mark.ts';

const build = {'/etc/bringup/build-id': `${layout.buildId}\n`};

test('before the partitioner an empty disk needs nothing', async t => {
	const [record, ...rest] = await clear.plan(config, machine({}, build));
	t.deepEqual(rest, []);
	t.is(record?.do === 'write' && record.content, 'empty\n');
	t.deepEqual(await clear.plan(config, machine({}, {...build, '/run/bringup/cleared.txt': 'empty\n'})), []);
});

test('before the partitioner foreign data is refused, and every disk is shown', async t => {
	const foreign = machine({[signatures(device)]: {signatures: [{type: 'xfs', uuid: 'x'}]}});
	await t.throwsAsync(clear.plan(config, foreign), {
		message: /is not empty, and install\.wipe is empty[\s\S]*S0EXAMPLE000001[\s\S]*nothing was changed/,
	});
});

test('what this build has begun and a power cut has ended is cleared, and so is what another never booted', async t => {
	const begun = await clear.plan(config, machine({...table(), ...made}));
	t.deepEqual(commandsOf(begun), ['write', `wipefs --all ${device}`, 'udevadm settle']);
	t.is(begun[0]?.do === 'write' && begun[0].content, 'given\n');
	t.regex(begun[1]?.why ?? '', /this install has begun on it/);
	// mkfs.fat in debian-installer gives no label.
	const plain = {...made, [signatures(`${device}-part2`)]: {signatures: [{type: 'vfat', uuid: 'x', label: null}]}};
	const other = machine({...table({uuid: '11111111-1111-1111-1111-111111111111'}), ...plain});
	t.regex((await clear.plan(config, other))[1]?.why ?? '', /an install that never booted/);
});

test("a file system without a label is the installer's own on the ESP only", async t => {
	const held = {...made, [signatures(`${device}-part3`)]: {signatures: [{type: 'vfat', uuid: 'x', label: null}]}};
	const other = machine({...table({uuid: '11111111-1111-1111-1111-111111111111'}), ...held});
	await t.throwsAsync(clear.plan(config, other), {message: /is not empty/});
});

test('a file system of somebody else in an install that never booted is kept', async t => {
	const held = {...made, [signatures(`${device}-part3`)]: {signatures: [{type: 'ext4', uuid: 'x', label: 'photos'}]}};
	const other = machine({...table({uuid: '11111111-1111-1111-1111-111111111111'}), ...held});
	await t.throwsAsync(clear.plan(config, other), {message: /is not empty/});
});

const blankInside = {
	[signatures(`${device}-part2`)]: {signatures: []},
	[signatures(`${device}-part3`)]: {signatures: []},
};
const bare = table({
	id: '22222222-2222-2222-2222-222222222222',
	name: '',
	uuid: '33333333-3333-3333-3333-333333333333',
	sealed: true,
});

test("the partitioner's table gets the names of an install, the identifier last", async t => {
	const change = 'sfdisk --no-reread --no-tell-kernel';
	t.deepEqual(commandsOf(await mark.plan(config, machine({...bare, ...blankInside}))), [
		`dd of=${device} bs=512 seek=4095 conv=notrunc,fsync status=none`,
		`${change} --part-label ${device} 1 bringup-bios`,
		`${change} --part-label ${device} 2 bringup-esp`,
		`${change} --part-type ${device} 2 c12a7328-f81f-11d2-ba4b-00a0c93ec93b`,
		`${change} --part-type ${device} 3 4f68bce3-e8cd-4db1-96e7-fbcaf984b709`,
		`${change} --part-uuid ${device} 3 ${layout.rootPartUuid}`,
		`${change} --part-uuid ${device} 2 ${layout.espPartUuid}`,
		`${change} --part-label ${device} 3 bringup-root`,
		`${change} --disk-id ${device} ${layout.tableId}`,
	]);
	t.deepEqual(await mark.plan(config, machine(table())), []);
});

test('a table that is not what the preseed asked for is not marked', async t => {
	await t.throwsAsync(mark.plan(config, machine({})), {message: /has partitioned nvme0n1 otherwise .*\(not at all\)/});
	const small = structuredClone(bare) as Record<string, {partitiontable?: {partitions: {type: string}[]}}>;
	Object.assign(small[`sfdisk --json ${device}`]?.partitiontable?.partitions[0] ?? {}, {type: 'C12A'});
	await t.throwsAsync(mark.plan(config, machine(small)), {message: /otherwise than it was told \(1 c12a, /});
});

test('what only looked empty and holds something is refused before it is formatted, unless it was given up', async t => {
	const held = {...bare, ...blankInside, [signatures(`${device}-part3`)]: {signatures: [{type: 'xfs', uuid: 'x'}]}};
	await t.throwsAsync(mark.plan(config, machine(held)), {message: /-part3 holds xfs that is not ours/});
	const given = machine(held, {'/run/bringup/cleared.txt': 'given\n'});
	t.is((await mark.plan(config, given)).length, 9);
});

const mounted = {...build, ...mountsOf('/', '/target', '/target/boot/efi')};
const root = {[signatures(`${device}-part3`)]: {signatures: [{type: 'ext4', uuid: 'abcd-ef', label: 'bringup-root'}]}};
const chain = `/target/boot/efi/bringup/installed-${layout.buildId}`;

test('the files of the profile come first, what tells the medium that it is done last', async t => {
	const assets = {'/usr/lib/bringup/assets.txt': `${'a'.repeat(64)}\n`, '/run/bringup/source': 'http://127.0.0.1\n'};
	const steps = await deliver.plan(config, machine(root, {...mounted, ...assets}));
	t.regex(commandsOf(steps)[1] ?? '', /^tar --extract --same-permissions .* --directory \/target$/);
	const fetched = steps.find(step => step.do === 'fetch');
	t.is(fetched?.url, `http://127.0.0.1/assets/${'a'.repeat(64)}`);
	t.is(fetched?.path, `/target/var/lib/bringup/assets/${'a'.repeat(64)}`);
	const last = steps.at(-1);
	t.deepEqual(last?.do === 'write' && [last.path, last.content], [chain, 'set bringup_root=abcd-ef\n']);
	t.deepEqual(await deliver.plan(config, machine(root, {...mounted, [chain]: 'set bringup_root=abcd-ef\n'})), []);
});

test('where the EFI partition is not mounted nothing is called installed', async t => {
	const none = machine(root, {...build, ...mountsOf('/', '/target')});
	await t.throwsAsync(deliver.plan(config, none), {message: /has not mounted the EFI partition/});
});

test('a disk without a root file system is not called installed', async t => {
	const none = machine({[signatures(`${device}-part3`)]: {signatures: []}}, mounted);
	await t.throwsAsync(deliver.plan(config, none), {message: /has made no file system on .*-part3/});
});
