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

/** Goes on where an earlier try ended, when the server lets it. */
async function download(url: string, part: string): Promise<void> {
	const have = await stat(part).then(
		({size}) => size,
		() => 0,
	);
	const response = await fetch(url, {headers: have > 0 ? {range: `bytes=${have}-`} : {}});
	if (response.status === 416) return;
	const answer = `the server answers ${response.status} ${response.statusText}`;
	if (response.status >= 400 && response.status < 500 && ![408, 425, 429].includes(response.status))
		throw new FetchError(`${url}: ${answer}; mend the asset in the profile, or put the file where it is looked for`);
	if (!response.ok || !response.body) throw new Error(answer);
	const file = await open(part, response.status === 206 ? 'a' : 'w', 0o600);
	try {
		for await (const chunk of response.body) await file.write(chunk as Uint8Array);
		await file.sync();
	} finally {
		await file.close();
	}
}

function explain(error: unknown): string {
	const {message, cause} = error as Error;
	return cause instanceof Error ? `${message}: ${cause.message}` : message;
}

/**
 * Fetches a file and puts it in place when its digest is right. While the network or the server is away it tries again
 * for ever, at most every five minutes, and says why it waits: a machine whose network comes later must come to its end
 * then. Throws when the server has no such file, or another one.
 */
export async function fetchFile(
	{url, sha256, path, mode}: Download,
	say: (line: string) => void,
	pause: (milliseconds: number) => Promise<unknown> = sleep,
): Promise<void> {
	const part = `${path}.part`;
	await mkdir(dirname(path), {recursive: true});
	for (let wait = 5; ; wait = Math.min(300, wait * 2)) {
		try {
			const resumed = (await stat(part).catch(() => undefined)) !== undefined;
			await download(url, part);
			const found = await digest(part);
			if (found === sha256) break;
			await rm(part);
			if (!resumed) throw new FetchError(`what ${url} gives has the SHA-256 ${found}, and the profile pins ${sha256}`);
		} catch (error) {
			if (error instanceof FetchError) throw error;
			say(`waiting for ${url}: ${explain(error)}; next try in ${wait} s`);
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
