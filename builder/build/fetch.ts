import {mkdir, open, rename, rm, stat} from 'node:fs/promises';
import {dirname} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {EnvHttpProxyAgent, interceptors, request} from 'undici';
import {UserError} from '../run.ts';
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

/** Fetches a file into its place in the cache, once; goes on where an earlier build was stopped. Throws a UserError that says why it could not. */
export async function fetchFile(
	{url, sha256, path}: {url: string; sha256: string; path: string},
	options: FetchOptions,
): Promise<string> {
	if ((await stat(path).catch(() => undefined))?.isFile()) {
		if ((await digestFile(path)) === sha256) return path;
		await rm(path); // a power cut can leave a name without its content
	}
	const part = `${path}.part`;
	await mkdir(dirname(path), {recursive: true});
	for (let left = tries - 1; ; left--) {
		try {
			const resumed = (await stat(part).catch(() => undefined)) !== undefined;
			await download(url, part, options);
			const found = await digestFile(part);
			if (found === sha256) break;
			await rm(part);
			if (resumed) continue; // what an earlier build left was damaged
			throw new RefusedError(`${url} has the SHA-256 ${found}, and the profile pins ${sha256}`);
		} catch (error) {
			if (options.signal.aborted || error instanceof UserError || left === 0)
				throw error instanceof UserError
					? error
					: new UserError(`could not fetch ${url}: ${(error as Error).message}`, {cause: error});
			await sleep(2 ** (tries - left) * 500, undefined, {signal: options.signal});
		}
	}
	await rename(part, path);
	return path;
}
