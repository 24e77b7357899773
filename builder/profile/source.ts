import {realpath, stat} from 'node:fs/promises';
import {basename, dirname, join, resolve} from 'node:path';
import type {FieldPath} from '../../firstboot/facts/fact.ts';
import {packageFolder} from '../paths.ts';
import {type Fault, type Place, showPath} from './faults.ts';
import {type File, isPlain, keyOf, parseFile, type Tree} from './yaml.ts';

/** A YAML file and those that it extends, merged, with the place of every field. */
export interface Source {
	value: unknown;
	/** Where a field's value stands, or that of its nearest ancestor. */
	find(path: FieldPath): Place;
	/** Where a field's name stands. */
	findName(path: FieldPath): Place;
	/** Where a relative path of the profile starts: the folder of the file that says it. */
	folderOf(path: FieldPath): string;
}

/** A field of a map that is its own, whatever its name. */
const own = (map: Record<string, unknown>, name: string) => (Object.hasOwn(map, name) ? map[name] : undefined);

/** Maps merge field by field; anything else of the extending profile replaces what it extends, and nothing (`field:`, or null) takes it away. */
function merge(base: unknown, over: unknown, baseTree: Tree, overTree: Tree, path: FieldPath, tree: Tree): unknown {
	const from = over === undefined ? baseTree : overTree;
	const here = from.get(keyOf(path));
	if (here) tree.set(keyOf(path), here);
	if (isPlain(base) && isPlain(over)) {
		const names = [...new Set([...Object.keys(base), ...Object.keys(over)])];
		const kept = names.filter(name => own(over, name) !== null || own(base, name) === undefined);
		return Object.fromEntries(
			kept.map(name => [name, merge(own(base, name), own(over, name), baseTree, overTree, [...path, name], tree)]),
		);
	}
	const prefix = keyOf(path).slice(0, -1);
	for (const [key, value] of from) if (path.length === 0 || key.startsWith(`${prefix},`)) tree.set(key, value);
	return over === undefined ? base : over;
}

/** The file that a profile extends: beside it, or a shipped one by its plain name; a profile of that name may extend it. */
async function findParent(path: string, parent: string, chain: readonly string[]): Promise<string | undefined> {
	const places = [dirname(path), ...(basename(parent) === parent ? [join(packageFolder, 'profiles')] : [])];
	const found: string[] = [];
	for (const folder of places) {
		const file = await realpath(resolve(folder, parent)).catch(() => undefined);
		if (file !== undefined && (await stat(file)).isFile()) found.push(file);
	}
	return found.find(file => ![...chain, path].includes(file)) ?? found[0];
}

async function loadChain(path: string, chain: readonly string[]): Promise<File> {
	const file = await parseFile(path);
	const parent = isPlain(file.value) ? file.value['extends'] : undefined;
	if (typeof parent !== 'string') return file;
	const place = file.tree.get('["extends"]')?.value as Place;
	const fail = (message: string): File => ({...file, faults: [...file.faults, {path: 'extends', message, place}]});
	const parentPath = await findParent(path, parent, chain);
	if (parentPath === undefined)
		return fail(
			`there is no file ${showPath(resolve(dirname(path), parent))}; the path is relative to this profile, or the name of a shipped one`,
		);
	if ([...chain, path].includes(parentPath)) {
		return fail(
			`the profiles extend each other in a circle: ${[...chain, path, parentPath].map(showPath).join(' -> ')}`,
		);
	}
	const base = await loadChain(parentPath, [...chain, path]);
	const tree: Tree = new Map();
	const value = merge(base.value, file.value, base.tree, file.tree, [], tree);
	return {value, tree, faults: [...base.faults, ...file.faults]};
}

/** Reads a profile and what it extends. Faults are those of YAML and of `extends`; the value is whole only without them. */
export async function loadSource(path: string): Promise<{source: Source; faults: Fault[]}> {
	const {value, tree, faults} = await loadChain(await realpath(path), []);
	const find = (path: FieldPath): {value: Place; name: Place} => {
		for (let length = path.length; length >= 0; length--) {
			const found = tree.get(keyOf(path.slice(0, length)));
			if (found) return found;
		}
		throw new Error('a profile has no place at all');
	};
	return {
		source: {
			value,
			find: path => find(path).value,
			findName: path => find(path).name,
			folderOf: path => dirname(find(path).value.file),
		},
		faults,
	};
}
