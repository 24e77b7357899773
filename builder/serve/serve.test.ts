import {mkdtemp, readFile, rm, writeFile} from 'node:fs/promises';
import {get} from 'node:http';
import type {AddressInfo} from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {ProfileError} from '../profile/faults.ts';
import {run} from '../run.ts';
import {makeBoard} from './board.ts';
import {Desk, type Entry} from './desk.ts';
import {formatDnsmasq} from './dnsmasq.ts';
import {findMachine, loadMachines} from './machines.ts';
import {formatFirstMenu, formatUnknown} from './menus.ts';
import {parseRange, startServer} from './server.ts';

const machines = {
	'web-1': {mac: '52:54:00:62:75:01', profile: 'node', order: '1'},
	'nas-1': {serial: 'ABC-1', profile: 'node', order: '1'},
};
const tree = {
	schema: 1 as const,
	method: 'image' as 'image' | 'debian-installer',
	profile: 'node',
	buildId: '0123456789abcdef',
	epoch: 0,
	title: 'Install node (Debian trixie)',
	bootWords: ['boot=live', 'console=ttyS0,115200'],
	layers: [{name: '10-base.squashfs', sha256: 'a'.repeat(64), size: 5}],
	machine: '{}',
	folder: '/nowhere',
};

async function inFolder<T>(use: (folder: string) => Promise<T>): Promise<T> {
	const folder = await mkdtemp(join(tmpdir(), 'bringup-serve-'));
	try {
		return await use(folder);
	} finally {
		await rm(folder, {recursive: true});
	}
}

function makeDesk(folder: string, said: string[] = [], given: typeof machines = machines, method = tree.method): Desk {
	return new Desk(
		{
			address: '192.0.2.1:8080',
			machines: given,
			trees: new Map([['node', {...tree, method}]]),
			folder: join(folder, 'state'),
			layers: new Map([
				['web-1', {file: join(folder, 'layer'), size: 3, sha256: 'b'.repeat(64), machine: '{"own":1}'}],
			]),
			onChange: (name, {state, failure}: Entry) => said.push([name, state, failure].filter(Boolean).join(' ')),
			onUnknown: ({mac}) => said.push(`unknown ${mac}`),
		},
		new Map([[`/trees/node/live-${tree.buildId}/10-base.squashfs`, {file: join(folder, 'base'), size: 5}]]),
	);
}

const textOf = async (desk: Desk, path: string) => {
	const found = await desk.find(path);
	return found && 'text' in found ? found.text : undefined;
};

const boot = '/boot/52:54:00:62:75:01/4c4c4544-0000-1000-8000-000000000001/XYZ';

test('a machine is known by all that its entry gives, and by nothing less', t => {
	t.is(findMachine(machines, {mac: '52:54:00:62:75:01'}), 'web-1');
	t.is(findMachine(machines, {mac: '52:54:00:00:00:09', serial: 'ABC-1'}), 'nas-1');
	t.is(findMachine(machines, {mac: '52:54:00:00:00:09'}), undefined);
	t.is(findMachine(machines, {mac: '52:54:00:62:75:01', serial: 'ABC-1'}), undefined, 'two entries are none');
});

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

test('a machine is installed once for each order, and then boots its disk', async t =>
	inFolder(async folder => {
		const said: string[] = [];
		const desk = makeDesk(folder, said);
		const menu = (await textOf(desk, boot)) ?? '';
		t.regex(
			menu,
			/^linux \(http,192\.0\.2\.1:8080\)\/trees\/node\/live\/vmlinuz .*fetch=http:\/\/192\.0\.2\.1:8080\/machines\/web-1 /m,
		);
		const token = /bringup\.report=http:\/\/192\.0\.2\.1:8080\/report\/web-1\/([0-9a-f]{32}) /.exec(menu)?.[1] ?? '';
		t.is(await textOf(desk, boot), menu, 'asked again before it has told anything, it gets the same');
		t.false(await desk.take({machine: 'web-1', token: 'f'.repeat(32), body: {state: 'done'}}));
		t.false(await desk.take({machine: 'web-1', token, body: {state: 'tired'}}));
		t.true(await desk.take({machine: 'web-1', token, body: {state: 'running'}}));
		const failure = {phase: 'disk', message: 'no disk matches'};
		t.true(await desk.take({machine: 'web-1', token, body: {state: 'failed', failures: [failure]}}));
		t.regex((await textOf(desk, boot)) ?? '', /^linux /m, 'a failed order is tried again');
		t.true(await desk.take({machine: 'web-1', token, body: {state: 'done'}}));
		t.notRegex((await textOf(makeDesk(folder), boot)) ?? '', /^linux /m, 'also by a server that was started anew');
		t.false(await desk.take({machine: 'web-1', token, body: {state: 'done'}}), 'an old word opens nothing');
		const again = {...machines, 'web-1': {...machines['web-1'], order: '2'}};
		t.regex((await textOf(makeDesk(folder, [], again), boot)) ?? '', /^linux /m);
		t.deepEqual(said, [
			...['web-1 booting', 'web-1 booting', 'web-1 installing', 'web-1 failed phase disk: no disk matches'],
			...['web-1 booting', 'web-1 installed'],
		]);
	}));

test('a machine that nobody knows is shown who it is, and is not installed', async t =>
	inFolder(async folder => {
		const said: string[] = [];
		const menu = (await textOf(makeDesk(folder, said), '/boot/52:54:00:00:00:09/-/SN-9')) ?? '';
		t.regex(menu, /mac: 52:54:00:00:00:09/);
		t.regex(menu, /serial: SN-9/);
		t.regex(menu, /[▀▄█]/);
		t.notRegex(menu, /^linux/m);
		t.deepEqual(said, ['unknown 52:54:00:00:00:09']);
	}));

test('each machine has its layers with its own on top, and nothing else can be read', async t =>
	inFolder(async folder => {
		const desk = makeDesk(folder);
		t.is(
			await textOf(desk, '/machines/web-1/SHA256SUMS'),
			`${'a'.repeat(64)}  10-base.squashfs\n${'b'.repeat(64)}  30-machine.squashfs\n`,
		);
		t.truthy(await desk.find('/machines/web-1/10-base.squashfs'));
		for (const path of [
			'/machines/web-1/../../etc/passwd',
			'/trees/node/../tree.json',
			'/etc/passwd',
			'/machines/web-2/SHA256SUMS',
			'/',
		])
			t.is(await desk.find(path), undefined, path);
	}));

test('menus are what GRUB can read', async t =>
	inFolder(async folder => {
		const menus = {
			first: formatFirstMenu('192.0.2.1:8080'),
			unknown: formatUnknown({mac: '52:54:00:00:00:09', serial: "it's"}, '192.0.2.1:8080'),
			install: (await textOf(makeDesk(folder), boot)) ?? '',
		};
		for (const [name, text] of Object.entries(menus)) {
			await writeFile(join(folder, name), text);
			await t.notThrowsAsync(run(['grub-script-check', join(folder, name)]), name);
		}
	}));

test('a range is what is there of what was asked for', t => {
	t.deepEqual(parseRange('bytes=2-', 10), {start: 2, end: 9});
	t.deepEqual(parseRange('bytes=2-400', 10), {start: 2, end: 9});
	t.deepEqual(parseRange('bytes=-3', 10), {start: 7, end: 9});
	t.is(parseRange('bytes=10-', 10), 'none');
	for (const header of [undefined, 'bytes=-', 'bytes=1-2,4-5', 'lines=1-2']) t.is(parseRange(header, 10), undefined);
});

test('the server gives files whole and in part, takes reports, and refuses the rest', async t =>
	inFolder(async folder => {
		await writeFile(join(folder, 'base'), '0123456789');
		const reports: unknown[] = [];
		const server = await startServer('127.0.0.1', 0, {
			find: async path => (path === '/base' ? {file: join(folder, 'base'), size: 10} : undefined),
			take: async report => reports.push(report) > 0,
			onFault: line => t.fail(line),
		});
		const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
		t.is(await (await fetch(`${url}/base`)).text(), '0123456789');
		const part = await fetch(`${url}/base`, {headers: {range: 'bytes=4-6'}});
		t.deepEqual([part.status, part.headers.get('content-range'), await part.text()], [206, 'bytes 4-6/10', '456']);
		t.is((await fetch(`${url}/base`, {headers: {range: 'bytes=10-'}})).status, 416);
		t.is((await fetch(`${url}/other`)).status, 404);
		const names = await new Promise<string[]>(resolve => get(`${url}/base`, answer => resolve(answer.rawHeaders)));
		t.true(names.includes('Content-Length'), 'as GRUB spells it');
		t.is((await fetch(`${url}//base`)).status, 200, 'as shim asks');
		t.is((await fetch(`${url}/%5Cbase`)).status, 200);
		t.is((await fetch(`${url}/base`, {method: 'PUT', body: 'x'})).status, 405);
		const post = (path: string, body: string) => fetch(`${url}${path}`, {method: 'POST', body});
		t.is((await post('/report/a/00ff', '{"state":"done"}')).status, 204);
		t.is((await post('/report/a/00ff', 'no JSON')).status, 400);
		t.is((await post('/report/a/00ff', `"${'x'.repeat(300_000)}"`)).status, 413);
		t.is((await post('/upload', '{}')).status, 404);
		t.deepEqual(reports, [{machine: 'a', token: '00ff', body: {state: 'done'}}]);
		server.closeAllConnections();
		server.close();
	}));

test('dnsmasq answers what cards ask for, and gives addresses only when told to', async t =>
	inFolder(async folder => {
		const place = {address: '192.0.2.1', netmask: '255.255.255.0', network: '192.0.2.0'};
		const common = {link: 'lan0', place, port: 8080, root: folder, leaseFile: join(folder, 'leases')};
		for (const leases of [undefined, ['192.0.2.100', '192.0.2.150']] as const) {
			const text = formatDnsmasq({...common, leases});
			t.is(/^dhcp-range=192\.0\.2\.0,proxy,/m.test(text), leases === undefined);
			await writeFile(join(folder, 'dnsmasq.conf'), text);
			await t.notThrowsAsync(run(['/usr/sbin/dnsmasq', '--test', `--conf-file=${join(folder, 'dnsmasq.conf')}`]));
		}
		t.truthy(await readFile(join(folder, 'dnsmasq.conf')));
	}));

const entry = (state: Entry['state'], seconds: number, failure?: string): Entry => {
	return {state, at: new Date(Date.now() - seconds * 1000).toISOString(), ...(failure === undefined ? {} : {failure})};
};

/** A stream that keeps what is written, as a terminal or as a file. */
function makeScreen(isTTY: boolean): {out: NodeJS.WriteStream; text: () => string} {
	let text = '';
	const write = (chunk: string) => {
		text += chunk;
		return true;
	};
	return {out: {isTTY, columns: 40, write} as never, text: () => text};
}

test('each machine is one row on a terminal: drawn again in place, with lines above it, no wider than the screen', t => {
	const {out, text} = makeScreen(true);
	const board = makeBoard(out);
	board.show('web-1', entry('installing', 5));
	board.show('a', entry('failed', 300, 'phase disk: two disks match, and more than fits\nhere'));
	board.say('unknown machine');
	board.end();
	t.deepEqual(text().split('\x1b[2A\x1b[J').at(-1)?.split('\n'), [
		'unknown machine',
		'web-1  installing     5 s',
		'a      failed       5 min  phase disk:',
		'',
	]);
});

test('in a log a change is a line', t => {
	const {out, text} = makeScreen(false);
	const board = makeBoard(out);
	board.show('web-1', entry('booting', 0));
	board.say('hello');
	board.show('web-1', entry('failed', 0, 'phase disk: no disk'));
	board.end();
	t.is(text(), 'web-1: booting\nhello\nweb-1: failed: phase disk: no disk\n');
});

test("a machine that debian-installer installs gets its packages' place, how long to wait, and its own machine.json", t =>
	inFolder(async folder => {
		const desk = makeDesk(folder, [], machines, 'debian-installer');
		const menu = (await textOf(desk, '/boot/52:54:00:62:75:01/-')) ?? '';
		t.regex(
			menu,
			/^linux \(http,192\.0\.2\.1:8080\)\/trees\/node\/install\/vmlinuz mirror\/http\/hostname=192\.0\.2\.1:8080 /m,
		);
		t.regex(menu, /mirror\/http\/directory=\/trees\/node\/installer-0123456789abcdef netcfg\/enable=true/);
		t.regex(
			menu,
			/netcfg\/dhcp_timeout=60 bringup\.machine=http:\/\/192\.0\.2\.1:8080\/machines\/web-1\/machine\.json/,
		);
		t.regex(menu, /^initrd \(http,192\.0\.2\.1:8080\)\/trees\/node\/install\/initrd\.img$/m);
		t.is(await textOf(desk, '/machines/web-1/machine.json'), '{"own":1}');
	}));
