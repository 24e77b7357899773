import type {FieldPath} from '../../firstboot/facts/fact.ts';
import {findBranches, type JsonSchema} from './shape.ts';

/** One of these is what any map of the schema takes for a name. */
const names = ['x', 'x.container', 'Container', 'localhost/x:1', 'x.tar', 'x.yaml', '/x', 'net.x'];

function nameFor({propertyNames}: JsonSchema): string {
	const pattern = new RegExp(propertyNames?.pattern ?? '');
	const name = names.find(name => pattern.test(name));
	if (name === undefined) throw new Error(`no name here fits ${pattern}`);
	return name;
}

/** For tests that walk over the schema: a place for every value that is neither a map nor a list, with some name of each map and 0 for any position. */
export function listLeaves(path: FieldPath = []): FieldPath[] {
	const found = findBranches(path);
	const inner = found.flatMap(schema => [
		...Object.keys(schema.properties ?? {}),
		...(schema.additionalProperties ? [nameFor(schema)] : []),
		...(schema.items ? [0] : []),
	]);
	const leaf = found.some(({type}) => type !== 'object' && type !== 'array');
	return [...(leaf ? [path] : []), ...[...new Set(inner)].flatMap(part => listLeaves([...path, part]))];
}

/** The same for maps with names of the user's. */
export function listMaps(): FieldPath[] {
	const parents = listLeaves().flatMap(path => path.map((_, at) => path.slice(0, at)));
	const all = [...new Map(parents.map(path => [JSON.stringify(path), path])).values()];
	return all.filter(path => findBranches(path).some(({propertyNames}) => propertyNames?.pattern));
}
