import {createHmac, randomBytes} from 'node:crypto';
import {link, mkdir, readFile} from 'node:fs/promises';
import {basename, dirname, join} from 'node:path';
import {parseJson, withFolder, writeWhole} from '../folder.ts';
import {UserError} from '../run.ts';

/** The message authentication code of a text, by which this user knows what he himself has put into a cache. */
export type Mac = (text: string) => string;

/**
 * Opens this user's key; made where there is none. It is kept outside of every cache, so that whoever can write a cache
 * and no more is not believed.
 */
export async function openMac(path: string): Promise<Mac> {
	const data = dirname(path);
	if ((await readFile(path).catch(() => undefined)) === undefined) {
		await mkdir(data, {recursive: true, mode: 0o700});
		await withFolder(data, async work => {
			const made = join(work, 'key');
			await writeWhole(made, `${randomBytes(32).toString('hex')}\n`, 0o600);
			await link(made, path).catch(error => {
				if (error.code !== 'EEXIST') throw error; // of two processes at once the first one's stays
			});
		});
	}
	const key = (await readFile(path, 'utf8')).trim();
	if (!/^[0-9a-f]{64}$/.test(key)) throw new UserError(`${path} is not a key; remove it, and the next build makes one`);
	return text => createHmac('sha256', key).update(text).digest('hex');
}

/** What a file is known by in whatever place its cache is. */
const nameOf = (path: string) => `${basename(dirname(path))}/${basename(path)}`;

const sign = (mac: Mac, path: string, content: string) => mac(`${nameOf(path)}\n${content}`);

/** Reads what this user has put into a cache; undefined when it is not there, damaged, or somebody else's. */
export async function readOwn<T>(path: string, mac: Mac): Promise<T | undefined> {
	const text = await readFile(path, 'utf8').catch(() => undefined);
	const read = text === undefined ? undefined : parseJson<{mac?: unknown; content?: unknown} | null>(text);
	if (typeof read?.content !== 'string' || read.mac !== sign(mac, path, read.content)) return undefined;
	return parseJson<T>(read.content);
}

/** Puts a value into a cache. */
export async function writeOwn(path: string, value: unknown, mac: Mac, place = path): Promise<void> {
	const content = JSON.stringify(value);
	await writeWhole(path, JSON.stringify({mac: sign(mac, place, content), content}));
}
