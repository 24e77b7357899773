import type {Asset, Secret} from '../sequence.ts';
import type {FieldPath} from './fact.ts';

type Marked = {secret: Secret; asset: Asset};

/** Every `{secret: …}` or `{asset: …}` of a profile, with its place. */
export function findMarked<Mark extends keyof Marked>(
	mark: Mark,
	value: unknown,
	path: FieldPath = [],
): {path: FieldPath; value: Marked[Mark]}[] {
	if (typeof value !== 'object' || value === null) return [];
	const inner = Object.entries(value);
	const [only] = inner;
	if (only?.[0] === mark && inner.length === 1 && typeof only[1] === 'object')
		return [{path, value: value as Marked[Mark]}];
	return inner.flatMap(([key, item]) => findMarked(mark, item, [...path, Array.isArray(value) ? Number(key) : key]));
}
