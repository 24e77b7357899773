import {readFile, realpath, stat} from 'node:fs/promises';
import {dirname, resolve} from 'node:path';
import {isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument} from 'yaml';
import type {FieldPath} from '../../firstboot/facts/fact.ts';
import {type Fault, type Place, showPath} from './faults.ts';

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

type Tree = Map<string, {value: Place; name: Place}>;

const keyOf = (path: FieldPath) => JSON.stringify(path);

interface File {
	value: unknown;
	tree: Tree;
	faults: Fault[];
}

async function parseFile(path: string): Promise<File> {
	const text = await readFile(path, 'utf8');
	const counter = new LineCounter();
	const document = parseDocument(text, {lineCounter: counter, uniqueKeys: true});
	const place = (from: number, to: number): Place => {
		const {line, col} = counter.linePos(from);
		return {file: path, text: text.split(/\r?\n/)[line - 1] ?? '', line, column: col, length: Math.max(1, to - from)};
	};
	const faults = [...document.errors, ...document.warnings].map(({message, pos}): Fault => {
		return {
			path: '',
			message: message.split('\n')[0]?.replace(/ at line \d+, column \d+:?$/, '') ?? message,
			place: place(pos[0], pos[0] + 1),
		};
	});
	const tree: Tree = new Map();
	const placeOf = (node: Node | null | undefined, fallback: Place) =>
		node?.range ? place(node.range[0], node.range[1]) : fallback;
	const walk = (given: unknown, path: FieldPath, name: Place) => {
		// What an alias stands for has its own place; its fields here are told at the alias.
		const node = (isAlias(given) ? null : given) as Node | null | undefined;
		if (isAlias(given)) name = placeOf(given, name);
		const value = isMap(node) || isSeq(node) ? {...placeOf(node, name), length: 1} : placeOf(node, name);
		tree.set(keyOf(path), {value, name});
		if (isMap(node)) {
			for (const {key, value: child} of node.items) {
				const keyName = isScalar(key) ? String(key.value) : String(key);
				walk(child, [...path, keyName], placeOf(key as Node, value));
			}
		} else if (isSeq(node)) {
			node.items.forEach((item, index) => {
				walk(item, [...path, index], value);
			});
		}
	};
	walk(document.contents, [], place(0, 1));
	if (faults.length > 0) return {value: undefined, tree, faults};
	try {
		return {value: JSON.parse(JSON.stringify(document.toJS())), tree, faults}; // also refuses what contains itself
	} catch (error) {
		return {
			value: undefined,
			tree,
			faults: [{path: '', message: (error as Error).message.split('\n')[0] ?? '', place: place(0, 1)}],
		};
	}
}

type Plain = Record<string, unknown>;

const isPlain = (value: unknown): value is Plain =>
	typeof value === 'object' && value !== null && !Array.isArray(value);

/** Maps merge field by field; anything else of the extending profile replaces what it extends, and nothing (`field:`, or null) takes it away. */
function merge(base: unknown, over: unknown, baseTree: Tree, overTree: Tree, path: FieldPath, tree: Tree): unknown {
	const from = over === undefined ? baseTree : overTree;
	const own = from.get(keyOf(path));
	if (own) tree.set(keyOf(path), own);
	if (isPlain(base) && isPlain(over)) {
		const names = [...new Set([...Object.keys(base), ...Object.keys(over)])];
		const kept = names.filter(name => over[name] !== null || base[name] === undefined);
		return Object.fromEntries(
			kept.map(name => [name, merge(base[name], over[name], baseTree, overTree, [...path, name], tree)]),
		);
	}
	const prefix = keyOf(path).slice(0, -1);
	for (const [key, value] of from) if (path.length === 0 || key.startsWith(`${prefix},`)) tree.set(key, value);
	return over === undefined ? base : over;
}

async function loadChain(path: string, chain: readonly string[]): Promise<File> {
	const file = await parseFile(path);
	const parent = isPlain(file.value) ? file.value['extends'] : undefined;
	if (typeof parent !== 'string') return file;
	const place = file.tree.get('["extends"]')?.value as Place;
	const fail = (message: string): File => ({...file, faults: [...file.faults, {path: 'extends', message, place}]});
	const parentPath = await realpath(resolve(dirname(path), parent)).catch(() => undefined);
	const isFile = parentPath !== undefined && (await stat(parentPath)).isFile();
	if (!isFile)
		return fail(`there is no file ${showPath(resolve(dirname(path), parent))}; the path is relative to this profile`);
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
