import {mkdtemp, open, readFile, rm, writeFile} from 'node:fs/promises';
import {get} from 'node:http';
import {type AddressInfo, connect, type Socket} from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import test from 'ava';
import {run, UsageError} from '../run.ts';
import {checkLeases, formatDnsmasq, parseLeases} from './dnsmasq.ts';
import {parseRange, startServer} from './server.ts';

async function inFolder<T>(use: (folder: string) => Promise<T>): Promise<T> {
	const folder = await mkdtemp(join(tmpdir(), 'bringup-serve-'));
	try {
		return await use(folder);
	} finally {
		await rm(folder, {recursive: true});
	}
}

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
		const large = Buffer.from(Array.from({length: 2 ** 20 + 7}, (_, index) => index % 251));
		await writeFile(join(folder, 'large'), large);
		const handles = {base: await open(join(folder, 'base')), large: await open(join(folder, 'large'))};
		const files = new Map([
			['/base', {handle: handles.base, size: 10}],
			['/large', {handle: handles.large, size: large.length}],
		]);
		const reports: unknown[] = [];
		const server = await startServer('127.0.0.1', 0, {
			find: async (path, from) => (from === '127.0.0.1' ? files.get(path) : undefined),
			take: async (report, from) => reports.push({...report, from}) > 0,
			onFault: line => t.fail(line),
		});
		const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
		t.is(await (await fetch(`${url}/base`)).text(), '0123456789');
		const part = await fetch(`${url}/base`, {headers: {range: 'bytes=4-6'}});
		t.deepEqual([part.status, part.headers.get('content-range'), await part.text()], [206, 'bytes 4-6/10', '456']);
		t.is((await fetch(`${url}/base`, {headers: {range: 'bytes=10-'}})).status, 416);
		const whole = await Promise.all([0, 1, 2].map(async () => (await fetch(`${url}/large`)).arrayBuffer()));
		for (const body of whole) t.true(large.equals(Buffer.from(body)));
		const rest = await (await fetch(`${url}/large`, {headers: {range: 'bytes=300000-'}})).arrayBuffer();
		t.true(large.subarray(300_000).equals(Buffer.from(rest)));
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
		t.deepEqual(reports, [{machine: 'a', token: '00ff', body: {state: 'done'}, from: '127.0.0.1'}]);
		for (const handle of Object.values(handles)) await handle.close();
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

test('one address cannot take all connections', async t => {
	const options = {find: async () => ({text: 'x'}), take: async () => false, onFault: () => {}, connectionsEach: 4};
	const server = await startServer('127.0.0.1', 0, options);
	const {port} = server.address() as AddressInfo;
	const connectFrom = (localAddress: string) =>
		new Promise<Socket>((resolve, reject) => {
			const socket = connect({host: '127.0.0.1', port, localAddress}, () => resolve(socket.resume())).on(
				'error',
				reject,
			);
		});
	const sockets: Socket[] = [];
	for (let index = 0; index < 10; index++) sockets.push(await connectFrom('127.0.0.2'));
	while (sockets.filter(({closed}) => closed).length < 6) await sleep(10);
	t.deepEqual(
		sockets.map(({closed}) => closed),
		[...Array(4).fill(false), ...Array(6).fill(true)],
	);
	const other = await connectFrom('127.0.0.3');
	other.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
	t.regex(String(await new Promise(resolve => other.once('data', resolve))), /^HTTP\/1\.1 200/);
	sockets[0]?.destroy();
	server.closeAllConnections();
	server.close();
	for (const socket of [...sockets, other]) socket.destroy();
});

test('a range of leases is two addresses of the subnet, in order, and not that of this workstation', t => {
	t.deepEqual(parseLeases('192.0.2.100,192.0.2.150'), ['192.0.2.100', '192.0.2.150']);
	for (const text of [
		'a,b',
		'192.0.2.1',
		'192.0.2.1,192.0.2.2,192.0.2.3',
		'192.0.2.9,192.0.2.8',
		'::1,::2',
		',',
		'192.0.2.1,\n',
	])
		t.throws(() => parseLeases(text), {instanceOf: UsageError}, text);
	const place = {address: '192.0.2.1', netmask: '255.255.255.0', network: '192.0.2.0'};
	t.notThrows(() => checkLeases(['192.0.2.2', '192.0.2.254'], place));
	for (const [first, last, why] of [
		['198.51.100.1', '198.51.100.9', /not within the subnet of the link, 192\.0\.2\.1 to 192\.0\.2\.254/],
		['192.0.2.200', '192.0.2.255', /not within/],
		['192.0.2.0', '192.0.2.9', /not within/],
		['192.0.2.1', '192.0.2.9', /holds 192\.0\.2\.1, which is the address of this workstation/],
	] as const)
		t.throws(() => checkLeases([first, last], place), {instanceOf: UsageError, message: why});
});
