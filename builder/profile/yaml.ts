import {readFile} from 'node:fs/promises';
import {type Document, isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument, visit} from 'yaml';
import type {FieldPath} from '../../firstboot/facts/fact.ts';
import {formatPath} from '../../firstboot/facts/issues.ts';
import type {Fault, Place} from './faults.ts';
import {findBranches} from './shape.ts';

/** The places of every field of a file, by keyOf. */
export type Tree = Map<string, {value: Place; name: Place}>;

/** The key of a field in a Tree. */
export const keyOf = (path: FieldPath) => JSON.stringify(path);

/** One YAML file. Its value is whole only without faults. */
export interface File {
	value: unknown;
	tree: Tree;
	faults: Fault[];
}

type Plain = Record<string, unknown>;

/** Whether a value is a map. */
export function isPlain(value: unknown): value is Plain {
	return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}

/** A scalar that YAML takes for something else than text, and its text. */
class Written {
	readonly text: string;
	readonly value: unknown;

	constructor(text: string, value: unknown) {
		this.text = text;
		this.value = value;
	}
}

/** The text of a key; YAML 1.2 takes 010 for ten, and a name is what was written. */
const nameOf = (key: unknown) => (isScalar(key) ? (key.source ?? String(key.value)) : String(key));

function keepTexts(document: Document): void {
	visit(document, {
		Scalar(role, scalar) {
			if (role === 'key') scalar.value = nameOf(scalar);
			else if (typeof scalar.value !== 'string' && scalar.value !== null)
				scalar.value = new Written(scalar.source ?? String(scalar.value), scalar.value);
		},
	});
}

/** A text field has the text that was written. A field that may be text or a number has the number only where both are the same. */
function decide({text, value}: Written, path: FieldPath): unknown {
	const types = findBranches(path).map(({type}) => type);
	if (!types.includes('string')) return value;
	if (typeof value === 'boolean') return types.includes('boolean') ? value : text;
	return types.some(type => type === 'number' || type === 'integer') && String(value) === text ? value : text;
}

function explainNumber(value: unknown, text: string): string | undefined {
	if (typeof value !== 'number') return `${text} is of a type that profiles do not have; put quotes around it`;
	if (!Number.isFinite(value))
		return `${text} is not a number that can be counted with; put quotes around it if it is text`;
	if (Number.isInteger(value) && !Number.isSafeInteger(value))
		return `${text} has more digits than a number keeps; put quotes around it if it is text`;
	return undefined;
}

/** The value as plain data, or what is wrong with it. */
function makePlain(
	given: unknown,
	path: FieldPath,
	inside: readonly unknown[],
	faults: {path: FieldPath; message: string}[],
): unknown {
	if (given === null || typeof given === 'string') return given;
	if (given instanceof Written) {
		const value = decide(given, path);
		const message =
			typeof value === 'string' || typeof value === 'boolean' ? undefined : explainNumber(value, given.text);
		if (message) faults.push({path, message});
		return value;
	}
	if (inside.includes(given)) {
		faults.push({path, message: 'contains itself'});
		return undefined;
	}
	const within = [...inside, given];
	if (Array.isArray(given)) return given.map((item, index) => makePlain(item, [...path, index], within, faults));
	if (!isPlain(given)) {
		faults.push({path, message: 'is of a type that profiles do not have; write a map or a list'});
		return undefined;
	}
	return Object.fromEntries(
		Object.entries(given).map(([name, item]) => [name, makePlain(item, [...path, name], within, faults)]),
	);
}

/** What the parser says to programmers, for the author of a profile. */
function translate(message: string): string {
	if (/parseAllDocuments/.test(message))
		return 'a profile is one document; remove this line and what follows it, or make a second file of it';
	if (/call stack/.test(message)) return 'the file is nested too deep';
	if (/alias count/.test(message)) return 'the aliases of the file stand for too much; write out what they stand for';
	return message.split('\n')[0]?.replace(/ at line \d+, column \d+:?$/, '') ?? message;
}

/** What is wrong with the name of a field, whatever the field. */
function findNameFault(name: string): string | undefined {
	if (name === '<<') return 'merge keys are not of YAML 1.2; take `extends`, or an alias for the whole map';
	return name === '__proto__' ? 'is not a name that a field can have; take another' : undefined;
}

/** The places of every field, and the names that no field can have. */
function findPlaces(document: Document, place: (from: number, to: number) => Place): {tree: Tree; faults: Fault[]} {
	const tree: Tree = new Map();
	const faults: Fault[] = [];
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
				const [text, at] = [nameOf(key), placeOf(key as Node, value)];
				const message = findNameFault(text);
				if (message) faults.push({path: formatPath([...path, text]), message, place: at});
				walk(child, [...path, text], at);
			}
		} else if (isSeq(node)) {
			node.items.forEach((item, index) => {
				walk(item, [...path, index], value);
			});
		}
	};
	walk(document.contents, [], place(0, 1));
	return {tree, faults};
}

/** Two keys of a map are the same where their texts are: `1` and `"1"` too. */
const isSameKey = (a: unknown, b: unknown) => a === b || (isScalar(a) && isScalar(b) && nameOf(a) === nameOf(b));

function readDocument(text: string, place: (from: number, to: number) => Place, counter: LineCounter): File {
	const document = parseDocument(text, {lineCounter: counter, uniqueKeys: isSameKey});
	const syntax = [...document.errors, ...document.warnings].map(
		({message, pos}): Fault => ({path: '', message: translate(message), place: place(pos[0], pos[0] + 1)}),
	);
	const {tree, faults} = findPlaces(document, place);
	faults.unshift(...syntax);
	if (faults.length > 0) return {value: undefined, tree, faults};
	keepTexts(document);
	const found: {path: FieldPath; message: string}[] = [];
	const value = makePlain(document.toJS(), [], [], found);
	const nearest = (path: FieldPath): Place => tree.get(keyOf(path))?.value ?? nearest(path.slice(0, -1));
	faults.push(...found.map(({path, message}) => ({path: formatPath(path), message, place: nearest(path)})));
	return {value, tree, faults};
}

/** The text of a YAML file as the plain data of a profile. */
export function parseText(path: string, text: string): File {
	const lines = text.split(/\r?\n/);
	const counter = new LineCounter();
	const place = (from: number, to: number): Place => {
		const {line, col} = counter.linePos(from);
		return {file: path, text: lines[line - 1] ?? '', line, column: col, length: Math.max(1, to - from)};
	};
	try {
		return readDocument(text, place, counter);
	} catch (error) {
		const start = {file: path, text: lines[0] ?? '', line: 1, column: 1, length: 1};
		return {
			value: undefined,
			tree: new Map([[keyOf([]), {value: start, name: start}]]),
			faults: [{path: '', message: translate((error as Error).message), place: start}],
		};
	}
}

/** Reads a YAML file as the plain data of a profile. */
export async function parseFile(path: string): Promise<File> {
	return parseText(path, await readFile(path, 'utf8'));
}
