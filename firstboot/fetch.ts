import {createHash} from 'node:crypto';
import {createReadStream} from 'node:fs';
import {mkdir, open, rename, rm, stat} from 'node:fs/promises';
import {dirname} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';

interface Download {
	url: string;
	/** Hexadecimal. */
	sha256: string;
	path: string;
	mode: number;
}

async function digest(path: string): Promise<string> {
	const hash = createHash('sha256');
	for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
	return hash.digest('hex');
}

/** What no further try mends: the server has no such file, or another one. */
class FetchError extends Error {}

/** What the server, or the network, may mend by itself: it is worth another try later. */
export class AwayError extends Error {}

/** Seconds in which a server must say something. */
const silence = 60;

/** A file of which so many bytes came is on its way. */
const progress = 2 ** 20;

const measure = (path: string) =>
	stat(path).then(
		({size}) => size,
		() => 0,
	);

/** Goes on where an earlier try ended, when the server lets it. */
async function download(url: string, part: string, quiet: number): Promise<void> {
	const have = await measure(part);
	const abort = new AbortController();
	const stop = () => abort.abort(new Error(`nothing came for ${quiet} s`));
	const timer = setTimeout(stop, quiet * 1000);
	try {
		await receive(await fetch(url, {headers: have > 0 ? {range: `bytes=${have}-`} : {}, signal: abort.signal}), {
			url,
			part,
			heard: () => timer.refresh(),
		});
	} finally {
		clearTimeout(timer);
	}
}

async function receive(
	response: Response,
	{url, part, heard}: {url: string; part: string; heard: () => void},
): Promise<void> {
	if (response.status === 416) return;
	const answer = `the server answers ${response.status} ${response.statusText}`;
	if (response.status >= 400 && response.status < 500 && ![408, 425, 429].includes(response.status))
		throw new FetchError(`${url}: ${answer}; mend the asset in the profile, or put the file where it is looked for`);
	if (!response.ok || !response.body) throw new Error(answer);
	const file = await open(part, response.status === 206 ? 'a' : 'w', 0o600);
	try {
		for await (const chunk of response.body) {
			heard();
			await file.write(chunk as Uint8Array);
		}
		await file.sync();
	} finally {
		await file.close();
	}
}

function explain(error: unknown): string {
	const {message, cause} = error as Error;
	return cause instanceof Error ? `${message}: ${cause.message}` : message;
}

/** How a fetch waits; tests do not. */
interface Patience {
	pause?: (milliseconds: number) => Promise<unknown>;
	/** Seconds in which a server must say something. */
	quiet?: number;
}

/** So many tries may bring nothing, one after the other: with the pauses between them, ten minutes at most. */
const tries = 6;

/**
 * Fetches a file and puts it in place when its digest is right. While the network or the server is away it tries again,
 * and says why it waits; after a while it throws an AwayError. What came so far stays, and the next run goes on there.
 * Throws when the server has no such file, or another one.
 */
export async function fetchFile(
	{url, sha256, path, mode}: Download,
	say: (line: string) => void,
	{pause = sleep, quiet = silence}: Patience = {},
): Promise<void> {
	const part = `${path}.part`;
	await mkdir(dirname(path), {recursive: true});
	for (let left = tries, wait = 5; ; wait = Math.min(60, wait * 2)) {
		const before = await measure(part);
		try {
			await download(url, part, quiet);
			const found = await digest(part);
			if (found === sha256) break;
			await rm(part);
			if (before === 0)
				throw new FetchError(`what ${url} gives has the SHA-256 ${found}, and the profile pins ${sha256}`);
		} catch (error) {
			if (error instanceof FetchError) throw error;
			left = (await measure(part)) >= before + progress ? tries : left - 1;
			if (left === 0) throw new AwayError(`${url} could not be fetched: ${explain(error)}`, {cause: error});
			say(`waiting for ${url}: ${explain(error)}; next try in ${wait} s, ${left} left`);
			await pause(wait * 1000);
		}
	}
	const file = await open(part, 'r+');
	await file.chmod(mode);
	await file.sync();
	await file.close();
	await rename(part, path);
	const folder = await open(dirname(path), 'r');
	await folder.sync();
	await folder.close();
}

/** Tells a server what happened, as JSON; tries a few times. Gives why it could not: an install does not fail for that. */
export async function sendReport(
	url: string,
	body: unknown,
	pause: (milliseconds: number) => Promise<unknown> = sleep,
): Promise<string | undefined> {
	let why: string | undefined;
	for (let tries = 0; tries < 5; tries++) {
		if (tries > 0) await pause(2000 * tries);
		try {
			const signal = AbortSignal.timeout(10_000);
			const headers = {'content-type': 'application/json'};
			const {ok, status} = await fetch(url, {method: 'POST', headers, body: JSON.stringify(body), signal});
			if (ok) return undefined;
			why = `the server answers ${status}`;
			if (status < 500) return why;
		} catch (error) {
			why = explain(error);
		}
	}
	return why;
}
