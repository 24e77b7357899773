import {mkdir, open, readFile, rename} from 'node:fs/promises';
import {join} from 'node:path';
import {printableJson} from '../printable.ts';
import {UserError} from '../run.ts';
import {type Entry, entrySchema} from './orders.ts';

async function write(folder: string, name: string, value: object): Promise<void> {
	const path = join(folder, `${name}.json`);
	const file = await open(`${path}.new`, 'w', 0o600);
	try {
		await file.writeFile(printableJson(value));
		await file.sync();
	} finally {
		await file.close();
	}
	await rename(`${path}.new`, path);
	const parent = await open(folder, 'r');
	await parent.sync().finally(() => parent.close());
}

/** The entries of all machines, a file each in one folder. What changes one is done one after another. */
export class Entries {
	readonly #folder: string;
	readonly #queues = new Map<string, Promise<unknown>>();

	constructor(folder: string) {
		this.#folder = folder;
	}

	/** Throws a UserError when the file of the machine is damaged: what it was told is not known then, and it must not be installed. */
	async read(name: string): Promise<Entry> {
		const path = join(this.#folder, `${name}.json`);
		const text = await readFile(path, 'utf8').catch(error => {
			if (error.code === 'ENOENT') return undefined;
			throw error;
		});
		if (text === undefined) return {state: 'known', at: new Date().toISOString()};
		try {
			return entrySchema.parse(JSON.parse(text));
		} catch (error) {
			throw new UserError(
				`${path} is damaged, so it is not known whether ${name} is installed. Mend it, or remove it: then ${name} is installed anew`,
				{cause: error},
			);
		}
	}

	/** Changes an entry to what `next` makes of it, when no other change of the same machine is under way; undefined leaves it. Gives the result. */
	async change(name: string, next: (entry: Entry) => Entry | undefined, report?: object): Promise<Entry | undefined> {
		const before = this.#queues.get(name);
		const turn = (async () => {
			await before?.catch(() => {}); // it is told to the one who asked for it
			const changed = next(await this.read(name));
			if (changed === undefined) return undefined;
			await mkdir(this.#folder, {recursive: true, mode: 0o700});
			if (report !== undefined) await write(this.#folder, `${name}.report`, report);
			await write(this.#folder, name, changed);
			return changed;
		})();
		this.#queues.set(name, turn);
		return turn;
	}
}
