import {join, resolve} from 'node:path';
import {UserError} from '../run.ts';
import type {Stock} from './desk.ts';
import {loadMachines} from './machines.ts';
import {closeTree, type OpenTree, openTree, readStamp} from './trees.ts';

/** machines.yaml and the trees as they stand on the disk, read anew when they change. */
export class Shelf {
	readonly #machinesPath: string;
	readonly #folders: readonly string[];
	#stamps = '';
	#stock: Stock = {machines: {}, trees: new Map(), before: []};

	constructor(machinesPath: string, folders: readonly string[]) {
		this.#machinesPath = machinesPath;
		this.#folders = folders.map(folder => resolve(folder));
	}

	get stock(): Stock {
		return this.#stock;
	}

	async #openTrees(): Promise<Map<string, OpenTree>> {
		const trees = new Map<string, OpenTree>();
		const opened: OpenTree[] = [];
		const known = [...this.#stock.trees.values()];
		try {
			for (const folder of this.#folders) {
				const stamp = await readStamp(join(folder, 'tree.json'));
				const same = known.find(tree => tree.folder === folder && tree.stamp === stamp);
				const tree = same ?? (await openTree(folder));
				if (!same) opened.push(tree);
				const other = trees.get(tree.profile);
				if (other)
					throw new UserError(
						`${other.folder} and ${folder} are both of the profile ${tree.profile}; name one of them`,
					);
				trees.set(tree.profile, tree);
			}
		} catch (error) {
			for (const tree of opened) await closeTree(tree);
			throw error;
		}
		return trees;
	}

	/**
	 * Reads what has changed; false when nothing has. Throws, and leaves what was read before, where something is wrong:
	 * once, until it changes again.
	 */
	async refresh(): Promise<boolean> {
		const paths = [this.#machinesPath, ...this.#folders.map(folder => join(folder, 'tree.json'))];
		const stamps = (await Promise.all(paths.map(readStamp))).join('\n');
		if (stamps === this.#stamps) return false;
		this.#stamps = stamps;
		const trees = await this.#openTrees();
		const {trees: old, before} = this.#stock;
		const isCurrent = (tree: OpenTree) => [...trees.values()].includes(tree);
		try {
			const machines = await loadMachines(this.#machinesPath, [...trees.keys()]);
			this.#stock = {machines, trees, before: [...before, ...[...old.values()].filter(tree => !isCurrent(tree))]};
		} catch (error) {
			for (const tree of trees.values()) if (![...old.values()].includes(tree)) await closeTree(tree);
			throw error;
		}
		return true;
	}

	/** Lets go of what another tree took the place of, when no machine installs itself from it. */
	async release(isUsed: (tree: OpenTree) => boolean): Promise<void> {
		const {before} = this.#stock;
		this.#stock = {...this.#stock, before: before.filter(isUsed)};
		for (const tree of before) if (!isUsed(tree)) await closeTree(tree);
	}

	async close(): Promise<void> {
		for (const tree of [...this.#stock.trees.values(), ...this.#stock.before]) await closeTree(tree);
	}
}
