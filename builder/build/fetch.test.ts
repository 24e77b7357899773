import {createHash} from 'node:crypto';
import {readFile, stat, writeFile} from 'node:fs/promises';
import {createServer, type IncomingMessage, type ServerResponse} from 'node:http';
import type {AddressInfo} from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {withFolder} from '../folder.ts';
import {packageFolder} from '../paths.ts';
import {run} from '../run.ts';
import {fetchFile, RefusedError} from './fetch.ts';

const content = Buffer.alloc(300_000, 'asset ');
const sha256 = createHash('sha256').update(content).digest('hex');
const options = {proxy: undefined, say: () => {}, signal: new AbortController().signal};

async function withServer(
	answer: (request: IncomingMessage, response: ServerResponse) => void,
	use: (url: string) => Promise<void>,
): Promise<void> {
	const server = createServer(answer);
	await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
	try {
		await use(`http://127.0.0.1:${(server.address() as AddressInfo).port}/asset`);
	} finally {
		server.closeAllConnections();
		server.close();
	}
}

test('a download that breaks off goes on where it ended, and is kept', t =>
	withFolder(tmpdir(), async folder => {
		const ranges: (string | undefined)[] = [];
		const answer = (request: IncomingMessage, response: ServerResponse) => {
			ranges.push(request.headers.range);
			const from = Number(/bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
			response.writeHead(from > 0 ? 206 : 200, {'content-length': content.length - from});
			if (from > 0) response.end(content.subarray(from));
			else {
				response.write(content.subarray(0, 100_000));
				// When all of it has arrived, however busy this machine is.
				const timer = setInterval(async () => {
					const {size} = await stat(`${join(folder, 'assets', sha256)}.part`).catch(() => ({size: 0}));
					if (size < 100_000) return;
					clearInterval(timer);
					response.destroy();
				}, 20);
			}
		};
		await withServer(answer, async url => {
			const path = join(folder, 'assets', sha256);
			t.is(await fetchFile({url, sha256, path}, options), path);
			t.deepEqual(await readFile(path), content);
			t.deepEqual(ranges, [undefined, 'bytes=100000-']);
			await fetchFile({url, sha256, path}, options);
			t.is(ranges.length, 2);
		});
	}));

test('other content than the one pinned is refused, and not kept', t =>
	withFolder(tmpdir(), async folder => {
		const answer = (_: IncomingMessage, response: ServerResponse) => void response.end('something else');
		await withServer(answer, async url => {
			const path = join(folder, sha256);
			await t.throwsAsync(fetchFile({url, sha256, path}, options), {
				instanceOf: RefusedError,
				message: /and the profile pins/,
			});
			await t.throwsAsync(readFile(path), {code: 'ENOENT'});
			await t.throwsAsync(readFile(`${path}.part`), {code: 'ENOENT'});
		});
	}));

test('a server that has no such file is told at once', t =>
	withFolder(tmpdir(), async folder => {
		let asked = 0;
		const answer = (_: IncomingMessage, response: ServerResponse) => {
			asked++;
			response.writeHead(404).end();
		};
		await withServer(answer, async url => {
			await writeFile(join(folder, 'other'), '');
			await t.throwsAsync(fetchFile({url, sha256, path: join(folder, 'file')}, options), {message: /answers 404/});
			t.is(asked, 1);
		});
	}));

test('two builds that want one file at once both get it whole, and one of them fetches it', t =>
	withFolder(tmpdir(), async folder => {
		let asked = 0;
		const answer = async (_: IncomingMessage, response: ServerResponse) => {
			asked++;
			response.writeHead(200, {'content-length': content.length});
			for (let at = 0; at < content.length; at += 30_000) {
				response.write(content.subarray(at, at + 30_000));
				await new Promise(resolve => setTimeout(resolve, 30));
			}
			response.end();
		};
		await withServer(answer, async url => {
			const wanted = {url, sha256, path: join(folder, 'assets', sha256)};
			const program = `
				import {fetchFile} from ${JSON.stringify(join(packageFolder, 'dist/builder/build/fetch.js'))};
				const signal = new AbortController().signal;
				await fetchFile(${JSON.stringify(wanted)}, {proxy: undefined, say: () => {}, signal});`;
			const build = () => run([process.execPath, '--input-type=module', '--eval', program]);
			const builds = [0, 120, 240].map(async delay => {
				await new Promise(resolve => setTimeout(resolve, delay));
				return build();
			});
			await Promise.all(builds);
			t.deepEqual(await readFile(wanted.path), content);
			t.is(asked, 1);
		});
	}));
