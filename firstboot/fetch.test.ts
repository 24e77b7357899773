import {createHash} from 'node:crypto';
import {mkdtemp, readFile, rm, writeFile} from 'node:fs/promises';
import {createServer, type IncomingMessage, type ServerResponse} from 'node:http';
import type {AddressInfo} from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {AwayError, fetchFile, sendReport} from './fetch.ts';

const content = Buffer.alloc(200_000, 'asset ');
const sha256 = createHash('sha256').update(content).digest('hex');

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

async function withServer(answer: Answer, use: (url: string, path: string) => Promise<void>): Promise<void> {
	const folder = await mkdtemp(join(tmpdir(), 'bringup-fetch-'));
	const server = createServer(answer);
	await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
	try {
		await use(`http://127.0.0.1:${(server.address() as AddressInfo).port}/asset`, join(folder, 'assets', sha256));
	} finally {
		server.closeAllConnections();
		server.close();
		await rm(folder, {recursive: true});
	}
}

const pause = async () => {};

test('while the server is not well it is asked again, and what it waits for is said', async t => {
	let asked = 0;
	const said: string[] = [];
	const answer: Answer = (_, response) => void (++asked < 3 ? response.writeHead(503).end() : response.end(content));
	await withServer(answer, async (url, path) => {
		await fetchFile({url, sha256, path, mode: 0o644}, line => said.push(line), {pause});
		t.deepEqual(await readFile(path), content);
		t.is(said.length, 2);
		t.regex(said[0] ?? '', /waiting for .*: the server answers 503/);
	});
});

test('a part that an earlier boot left damaged is fetched anew', async t => {
	const answer: Answer = (request, response) => {
		const from = Number(/bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
		response.writeHead(from > 0 ? 206 : 200).end(content.subarray(from));
	};
	await withServer(answer, async (url, path) => {
		await fetchFile({url, sha256, path, mode: 0o644}, () => {}, {pause});
		await rm(path);
		await writeFile(`${path}.part`, 'damaged');
		await fetchFile({url, sha256, path, mode: 0o644}, () => {}, {pause});
		t.deepEqual(await readFile(path), content);
	});
});

test('a server without the file, or with another one, is not asked for ever', async t => {
	const absent: Answer = (_, response) => void response.writeHead(404).end();
	const other: Answer = (_, response) => void response.end('something else');
	for (const [answer, message] of [
		[absent, /answers 404.*mend the asset in the profile/],
		[other, /and the profile pins/],
	] as const)
		await withServer(answer, async (url, path) => {
			await t.throwsAsync(
				fetchFile({url, sha256, path, mode: 0o644}, () => {}, {pause}),
				{message},
			);
			await t.throwsAsync(readFile(path), {code: 'ENOENT'});
		});
});

test('a server that is down, or says nothing, is given up after a while; what came stays for the next run', async t => {
	const down: Answer = (_, response) => void response.writeHead(503).end();
	const silent: Answer = (_, response) => void response.writeHead(200).write(content.subarray(0, 1000));
	for (const [answer, message] of [
		[down, /could not be fetched: the server answers 503/],
		[silent, /could not be fetched: .*nothing came for 1 s/],
	] as const)
		await withServer(answer, async (url, path) => {
			const said: string[] = [];
			const patience = {pause, quiet: 1};
			await t.throwsAsync(
				fetchFile({url, sha256, path, mode: 0o644}, line => said.push(line), patience),
				{instanceOf: AwayError, message},
			);
			t.is(said.length, 5);
			t.is((await readFile(`${path}.part`).catch(() => Buffer.alloc(0))).length, answer === down ? 0 : 1000);
		});
});

test('a server that is slow, and comes on, is waited for', async t => {
	const large = Buffer.alloc(16 * 2 ** 20, 'slow');
	let asked = 0;
	// Each try brings two mebibytes, and then nothing.
	const answer: Answer = (request, response) => {
		asked++;
		const from = Number(/bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
		response.writeHead(from > 0 ? 206 : 200, {'content-length': large.length - from});
		response.write(large.subarray(from, from + 2 ** 21));
	};
	await withServer(answer, async (url, path) => {
		const digest = createHash('sha256').update(large).digest('hex');
		await fetchFile({url, sha256: digest, path, mode: 0o644}, () => {}, {pause, quiet: 1});
		t.true((await readFile(path)).equals(large));
		t.true(asked > 6);
	});
});

test('a report is sent again while the server fails, and not when it is refused', async t => {
	const statuses = [500, 503, 204, 403, 204];
	const pauses: number[] = [];
	const pause = async (milliseconds: number) => pauses.push(milliseconds);
	await withServer(
		(request, response) => {
			request.resume();
			response.writeHead(statuses.shift() ?? 204).end();
		},
		async url => {
			t.is(await sendReport(url, {state: 'done'}, pause), undefined);
			t.is(await sendReport(url, {state: 'done'}, pause), 'the server answers 403');
		},
	);
	t.deepEqual([pauses, statuses], [[2000, 4000], [204]]);
	t.regex((await sendReport('http://127.0.0.1:1/', {}, pause)) ?? '', /ECONNREFUSED|bad port|fetch failed/);
});
