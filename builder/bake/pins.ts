import {readdir, readFile, stat} from 'node:fs/promises';
import {join, resolve} from 'node:path';
import {UserError} from '../run.ts';

const isProfile = (name: string) => /\.ya?ml$/.test(name);

/** Every digest that stands in a profile of ./profiles, or in one of these files and folders: read as text, so that a profile with a fault keeps what it names. */
export async function readPins(places: readonly string[]): Promise<Set<string>> {
	const own = await readdir('profiles').then(
		() => ['profiles'],
		error => {
			if (error.code === 'ENOENT') return [];
			throw error;
		},
	);
	const pins = new Set<string>();
	for (const place of [...own, ...places].map(path => resolve(path))) {
		const found = await stat(place).catch(error => {
			throw new UserError(`--pins ${place}: there is no such file or folder`, {cause: error});
		});
		const names = found.isDirectory() ? (await readdir(place, {recursive: true})).filter(isProfile) : [''];
		for (const name of names)
			for (const [digest] of (await readFile(join(place, name), 'utf8')).matchAll(/\b[0-9a-f]{64}\b/g))
				pins.add(digest);
	}
	return pins;
}
