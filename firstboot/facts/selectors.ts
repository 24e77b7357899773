import {parseSize} from '../sequence.ts';
import type {FalseFact, FieldPath, Sections} from './fact.ts';

/** Selectors that no disk can match. */
export function checkSelectors({install, storage}: Pick<Sections, 'install' | 'storage'>): FalseFact[] {
	const disks = Object.entries(storage?.disks ?? {}).map(([name, disk]) => ({path: ['storage', 'disks', name], disk}));
	const all: {path: FieldPath; disk: {minSize?: string | undefined; maxSize?: string | undefined}}[] = [
		...(install ? [{path: ['install', 'disk'], disk: install.disk}] : []),
		...disks,
	];
	return all.flatMap(({path, disk: {minSize, maxSize}}) => {
		if (minSize === undefined || maxSize === undefined || parseSize(maxSize) >= parseSize(minSize)) return [];
		return [{path: [...path, 'maxSize'], message: `is below minSize, ${minSize}; no disk is both`}];
	});
}
