import {mkdir, open, rm, stat} from 'node:fs/promises';
import {dirname} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {EnvHttpProxyAgent, interceptors, request} from 'undici';
import {isFullDisk, placeFiles} from '../folder.ts';
import {awaitLock, UserError} from '../run.ts';
import {digestFile} from './cache.ts';

interface FetchOptions {
	/** HTTP proxy of the profile; without it, that of the environment. */
	proxy: string | undefined;
	say: (line: string) => void;
	signal: AbortSignal;
}

const tries = 4;

/** The server has no such file, or not the one that the profile pins. */
export class RefusedError extends UserError {}

/** Goes on where an earlier try ended, when the server lets it. */
async function download(url: string, part: string, {proxy, signal}: FetchOptions): Promise<void> {
	const have = await stat(part).then(
		({size}) => size,
		() => 0,
	);
	const agent = new EnvHttpProxyAgent(proxy ? {httpProxy: proxy, httpsProxy: proxy} : {});
	const dispatcher = agent.compose(interceptors.redirect({maxRedirections: 5}));
	const headers = have > 0 ? {range: `bytes=${have}-`} : {};
	const {statusCode, body} = await request(url, {
		headers,
		dispatcher,
		signal,
		headersTimeout: 30_000,
		bodyTimeout: 30_000,
	});
	if (statusCode === 416) return body.dump();
	if (statusCode !== 200 && statusCode !== 206) {
		await body.dump();
		throw new (statusCode >= 400 && statusCode < 500 ? RefusedError : UserError)(
			`${url}: the server answers ${statusCode}`,
		);
	}
	const file = await open(part, statusCode === 206 ? 'a' : 'w');
	try {
		for await (const chunk of body) await file.write(chunk as Uint8Array);
	} finally {
		await file.close();
	}
}

interface Wanted {
	url: string;
	sha256: string;
	/** Its place in the cache. */
	path: string;
}

async function isWhole({sha256, path}: Wanted): Promise<boolean> {
	if (!(await stat(path).catch(() => undefined))?.isFile()) return false;
	if ((await digestFile(path)) === sha256) return true;
	await rm(path, {force: true}); // a power cut can leave a name without its content
	return false;
}

async function fetchPart({url, sha256}: Wanted, part: string, options: FetchOptions): Promise<void> {
	for (let left = tries - 1; ; left--) {
		try {
			const resumed = (await stat(part).catch(() => undefined)) !== undefined;
			await download(url, part, options);
			const found = await digestFile(part);
			if (found === sha256) return;
			await rm(part);
			if (resumed) continue; // what an earlier build left was damaged
			throw new RefusedError(`${url} has the SHA-256 ${found}, and the profile pins ${sha256}`);
		} catch (error) {
			if (isFullDisk(error)) throw error;
			if (options.signal.aborted || error instanceof UserError || left === 0)
				throw error instanceof UserError
					? error
					: new UserError(`could not fetch ${url}: ${(error as Error).message}`, {cause: error});
			await sleep(2 ** (tries - left) * 500, undefined, {signal: options.signal});
		}
	}
}

/**
 * Fetches a file into its place in the cache, once, and when two builds want it at once, too; goes on where an earlier
 * build was stopped. Throws a UserError that says why it could not.
 */
export async function fetchFile(wanted: Wanted, options: FetchOptions): Promise<string> {
	const {url, path} = wanted;
	if (await isWhole(wanted)) return path;
	await mkdir(dirname(path), {recursive: true});
	const waiting = () => options.say(`another build fetches ${url}; waiting for it`);
	return awaitLock(`${path}.lock`, {waiting, signal: options.signal}, async () => {
		if (await isWhole(wanted)) return path;
		await fetchPart(wanted, `${path}.part`, options);
		await placeFiles([[`${path}.part`, path]]);
		return path;
	});
}
