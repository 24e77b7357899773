import {readdir, readFile, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {ProfileError} from '../profile/faults.ts';
import {run, UserError} from '../run.ts';
import {boot, description, inFolder, makeDesk, makeTree, own, read, tokenOf, withTree} from './desk.test.parts.ts';
import {makeTeller, openLog} from './log.ts';
import {loadMachines} from './machines.ts';
import {formatBootDisk, formatFirstMenu, formatInstall, formatRefusal, formatUnknown} from './menus.ts';
import {parseNeighbours} from './neighbours.ts';
import {Shelf} from './stock.ts';
import {type OpenTree, openTree} from './trees.ts';

test('every fault of machines.yaml is told with its place', async t =>
	inFolder(async folder => {
		const path = join(folder, 'machines.yaml');
		await writeFile(path, 'schema: 1\nmachines:\n  a: {profile: node}\n  b: {mac: 1, profile: node}\n');
		const error = await t.throwsAsync(loadMachines(path, ['node']), {instanceOf: ProfileError});
		t.regex(error?.message ?? '', /machines\.yaml:3:\d+: error: machines\.a: give one of mac, serial, uuid/);
		t.regex(error?.message ?? '', /machines\.yaml:4:\d+: error: machines\.b\.mac/);
		await writeFile(path, 'schema: 1\nmachines: {a: {mac: "52:54:00:62:75:0A", profile: nod, order: 7}}\n');
		await t.throwsAsync(loadMachines(path, ['node']), {
			message: /there is no tree of the profile nod; there are: node/,
		});
		t.deepEqual(await loadMachines(path, ['nod']), {a: {mac: '52:54:00:62:75:0a', profile: 'nod', order: '7'}});
	}));

test('a damaged tree is told with its file and the remedy', async t =>
	inFolder(async folder => {
		const place = await makeTree(join(folder, 'tree'));
		for (const text of ['oops', '{}', 'null', JSON.stringify({...description, machine: 'oops'})]) {
			await writeFile(join(place, 'tree.json'), text);
			await t.throwsAsync(openTree(place), {
				instanceOf: UserError,
				message: /tree\.json is damaged; make it again: bringup build-pxe/,
			});
		}
		await makeTree(place);
		await writeFile(join(place, `live-${description.buildId}/10-base.squashfs`), 'b');
		await t.throwsAsync(openTree(place), {instanceOf: UserError, message: /10-base\.squashfs is damaged/});
		await rm(join(place, 'grubx64.efi'));
		await t.throwsAsync(openTree(place), {instanceOf: UserError, message: /is not whole: it has no grubx64\.efi/});
		await t.throwsAsync(openTree(join(folder, 'none')), {instanceOf: UserError, message: /is not a netboot tree/});
	}));

test('machines.yaml and trees are read anew when they change; an install under way goes on from its tree', async t =>
	inFolder(async folder => {
		const file = join(folder, 'machines.yaml');
		await writeFile(file, 'schema: 1\nmachines: {web-1: {mac: "52:54:00:62:75:01", profile: node}}\n');
		const place = await makeTree(join(folder, 'tree'));
		const shelf = new Shelf(file, [place]);
		t.true(await shelf.refresh());
		t.false(await shelf.refresh());
		const first = shelf.stock.trees.get('node') as OpenTree;
		const desk = makeDesk(folder, {tree: first});
		const token = tokenOf(await read(desk, boot));
		await rm(place, {recursive: true});
		await makeTree(place, {buildId: 'fedcba9876543210'});
		await writeFile(file, 'schema: 1\nmachines: {web-1: {mac: "52:54:00:62:75:01", profile: node, order: 2}}\n');
		t.true(await shelf.refresh());
		t.is(shelf.stock.machines['web-1']?.order, '2');
		const {trees, before} = shelf.stock;
		t.is(trees.get('node')?.buildId, 'fedcba9876543210');
		const now = makeDesk(folder, {tree: trees.get('node') as OpenTree, before: [...before]});
		t.is(await read(now, `/machines/web-1/${token}/20-profile.squashfs`), 'secret!');
		await writeFile(file, 'schema: 2\n');
		await t.throwsAsync(shelf.refresh(), {instanceOf: ProfileError});
		t.false(await shelf.refresh(), 'told once');
		t.is(shelf.stock.machines['web-1']?.order, '2', 'what was read before stays');
		await rm(join(place, 'tree.json'));
		await t.throwsAsync(shelf.refresh(), {message: /is not a netboot tree/});
		t.is(await read(now, `/machines/web-1/${token}/20-profile.squashfs`), 'secret!');
		await shelf.release(() => false);
		t.deepEqual(shelf.stock.before, []);
		await shelf.close();
	}));

test('menus are what GRUB can read', async t =>
	withTree(async (folder, tree) => {
		const address = '192.0.2.1:8080';
		const menus = {
			first: formatFirstMenu(address),
			unknown: formatUnknown({mac: '52:54:00:00:00:09', serial: "it's"}, address),
			install: formatInstall(tree, 'web-1', own.mac, address, '0'.repeat(32)),
			installer: formatInstall({...tree, method: 'debian-installer'}, 'web-1', own.mac, address, '0'.repeat(32)),
			'boot-disk': formatBootDisk('web-1', address),
			refusal: formatRefusal(["it's busy", 'b\n}'], address),
		};
		for (const [name, text] of Object.entries(menus)) {
			await writeFile(join(folder, name), text);
			await t.notThrowsAsync(run(['grub-script-check', join(folder, name)]), name);
		}
	}));

test('a neighbour is who the kernel has seen on that link', t => {
	const text = [
		'IP address       HW type     Flags       HW address            Mask     Device',
		'192.0.2.101      0x1         0x2         52:54:00:62:75:0A     *        lan0',
		'192.0.2.102      0x1         0x0         00:00:00:00:00:00     *        lan0',
		'192.0.2.103      0x1         0x6         52:54:00:62:75:03     *        lan0',
		'192.0.2.104      0x1         0x2         52:54:00:62:75:04     *        lan1',
		'',
	].join('\n');
	t.deepEqual(
		[...parseNeighbours(text, 'lan0')],
		[
			['192.0.2.101', '52:54:00:62:75:0a'],
			['192.0.2.103', '52:54:00:62:75:03'],
		],
	);
});

test('the log ends at its size and goes on in another; nothing from the wire can write to a terminal', async t =>
	inFolder(async folder => {
		const path = join(folder, 'serve.log');
		const log = openLog(path, 1000);
		for (let line = 0; line < 300; line++) log.write(`line ${line} \x1b]0;title\x07\n`);
		log.close();
		t.deepEqual((await readdir(folder)).sort(), ['serve.log', 'serve.log.1']);
		for (const name of await readdir(folder)) {
			const text = await readFile(join(folder, name), 'utf8');
			t.true(text.length < 1100);
			t.notRegex(text, /(?!\n)\p{Cc}/u);
		}
		t.regex(await readFile(path, 'utf8'), /line 299 /);
	}));

test('nobody can fill the terminal by what he sends', t => {
	const [said, logged]: [string[], string[]] = [[], []];
	let now = 0;
	const tell = makeTeller(
		line => said.push(line),
		line => logged.push(line),
		() => now,
	);
	for (let index = 0; index < 100; index++) tell('same', 'same');
	for (let index = 0; index < 100; index++) tell(`other ${index}`, `other ${index}`);
	t.is(said.length, 31);
	t.deepEqual([said.at(-1), logged.length], ['more of this minute is in serve.log', 71]);
	now = 11 * 60_000;
	tell('same', 'same');
	t.is(said.at(-1), 'same');
});
