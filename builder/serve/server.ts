import {createServer, type IncomingMessage, type Server, type ServerResponse} from 'node:http';

import type {OpenFile} from './trees.ts';

/** What a path gives: a file of this workstation, or what is made for the one who asks. */
export type Resource = OpenFile | {text: string | Buffer};

/** What a machine tells. */
export type Report = {machine: string; token: string; body: unknown};

export interface ServerOptions {
	/** Undefined where there is nothing for this address. Paths are only ever compared. */
	find(path: string, from: string): Promise<Resource | undefined>;
	/** False when the report is of nobody that was asked for one. */
	take(report: Report, from: string): Promise<boolean>;
	onFault(line: string): void;
	/** How many connections one address may have at once; without it, as many as there are. */
	connectionsEach?: number;
}

const largestReport = 256 * 1024;

interface Range {
	start: number;
	/** The last byte. */
	end: number;
}

/** The bytes that a Range header asks for; undefined when there is none that this server knows, 'none' when there are no such bytes. */
export function parseRange(header: string | undefined, size: number): Range | 'none' | undefined {
	const [, from = '', to = ''] = /^bytes=(\d*)-(\d*)$/.exec(header ?? '') ?? [];
	if (from === '' && to === '') return undefined;
	const start = from === '' ? Math.max(0, size - Number(to)) : Number(from);
	const end = from === '' || to === '' ? size - 1 : Math.min(Number(to), size - 1);
	return start > end ? 'none' : {start, end};
}

/** Two buffers of this size for each that is sent: one is filled while the other is written. Used again, they stay in the processor's cache. */
const chunk = 2 ** 18;

const write = (response: ServerResponse, data: Buffer) =>
	new Promise<void>((resolve, reject) => response.write(data, error => (error ? reject(error) : resolve())));

/** Sends a part of a file. Throws when the file ends before that, or when nobody reads any more. */
async function pump({handle}: OpenFile, {start, end}: Range, response: ServerResponse): Promise<void> {
	const buffers = [Buffer.allocUnsafeSlow(chunk), Buffer.allocUnsafeSlow(chunk)] as const;
	let written = Promise.resolve();
	for (let [at, turn] = [start, 0]; at <= end; turn ^= 1) {
		const buffer = buffers[turn as 0 | 1];
		const {bytesRead} = await handle.read(buffer, 0, Math.min(chunk, end - at + 1), at);
		await written;
		if (bytesRead === 0) throw new Error('a file of the tree became shorter');
		written = write(response, buffer.subarray(0, bytesRead));
		written.catch(() => {}); // it is awaited in the next turn
		at += bytesRead;
	}
	await written;
	response.end();
}

async function sendFile(file: OpenFile, request: IncomingMessage, response: ServerResponse): Promise<void> {
	const {size} = file;
	const range = parseRange(request.headers.range, size);
	if (range === 'none') {
		response.writeHead(416, {'Content-Range': `bytes */${size}`}).end();
		return;
	}
	const {start, end} = range ?? {start: 0, end: size - 1};
	response.writeHead(range ? 206 : 200, {
		'Content-Type': 'application/octet-stream',
		'Content-Length': size === 0 ? 0 : end - start + 1,
		'Accept-Ranges': 'bytes',
		...(range ? {'Content-Range': `bytes ${start}-${end}/${size}`} : {}),
	});
	if (request.method === 'HEAD' || size === 0) response.end();
	else
		await pump(file, {start, end}, response).catch(error => {
			const isGone = response.destroyed; // a machine that was switched off is nothing to tell
			response.destroy();
			if (!isGone) throw error;
		});
}

async function readBody(request: IncomingMessage): Promise<string | undefined> {
	let text = '';
	for await (const chunk of request.setEncoding('utf8')) {
		text += chunk;
		if (text.length > largestReport) return undefined;
	}
	return text;
}

const addressOf = ({socket}: IncomingMessage) => socket.remoteAddress ?? '';

async function takeReport(path: string, request: IncomingMessage, {take}: ServerOptions): Promise<number> {
	const [, machine, token] = /^\/report\/([a-z0-9-]+)\/([0-9a-f]+)$/.exec(path) ?? [];
	if (machine === undefined || token === undefined) return 404;
	const text = await readBody(request);
	if (text === undefined) return 413;
	let body: unknown;
	try {
		body = JSON.parse(text);
	} catch {
		return 400;
	}
	return (await take({machine, token, body}, addressOf(request))) ? 204 : 403;
}

/** Package names have characters that some clients escape and others do not. What is no escape stands for itself. */
function decode(path: string): string {
	try {
		return decodeURIComponent(path);
	} catch {
		return path;
	}
}

async function answer(request: IncomingMessage, response: ServerResponse, options: ServerOptions): Promise<void> {
	// shim asks for //grubx64.efi, some versions with a backslash.
	const path = decode(request.url ?? '').replace(/[/\\]+/g, '/');
	if (request.method === 'POST') {
		response.writeHead(await takeReport(path, request, options)).end();
		return;
	}
	if (request.method !== 'GET' && request.method !== 'HEAD') {
		response.writeHead(405, {allow: 'GET, HEAD, POST'}).end();
		return;
	}
	const found = await options.find(path, addressOf(request));
	if (!found) response.writeHead(404).end();
	else if ('handle' in found) await sendFile(found, request, response);
	else {
		const length = Buffer.byteLength(found.text);
		const type = typeof found.text === 'string' ? 'text/plain; charset=utf-8' : 'application/octet-stream';
		response.writeHead(200, {'Content-Type': type, 'Content-Length': length});
		response.end(request.method === 'HEAD' ? undefined : found.text);
	}
}

// Header names are spelled as GRUB spells them: to others their case is nothing, GRUB knows no other.

/** Serves files and texts over HTTP with ranges, and takes reports. What is not found by `find` cannot be read. */
export async function startServer(host: string, port: number, options: ServerOptions): Promise<Server> {
	const server = createServer(
		{requestTimeout: 60_000, headersTimeout: 20_000, maxHeaderSize: 16_384},
		(request, response) => {
			answer(request, response, options).catch(error => {
				const path = request.url?.replace(/[0-9a-f]{32}/g, '…'); // a token is for one machine
				options.onFault(`${request.method} ${path}: ${(error as Error).message}`);
				response.destroy();
			});
		},
	);
	const open = new Map<string, number>();
	server.on('connection', socket => {
		const from = socket.remoteAddress ?? '';
		const own = (open.get(from) ?? 0) + 1;
		open.set(from, own);
		socket.on('close', () => {
			const left = (open.get(from) ?? 1) - 1;
			if (left > 0) open.set(from, left);
			else open.delete(from);
		});
		if (own > (options.connectionsEach ?? Number.POSITIVE_INFINITY)) socket.destroy(); // others want to be installed, too
	});
	server.maxConnections = 2048;
	server.timeout = 300_000;
	await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, host, resolve));
	return server;
}
