import type {Manifest} from './manifest.ts';

/** A package that two builds do not have in the same version, or not as the same file. */
export interface Difference {
	name: string;
	/** Versions; undefined where there is none. */
	old: string | undefined;
	new: string | undefined;
	/** Whether the new one comes from the archive of security updates. */
	security: boolean;
}

type Known = Pick<Manifest['packages'][number], 'name' | 'version' | 'sha256'> & {stanza?: string};

/** What is in one set of packages and not in the other, by name. */
export function listDifference(before: readonly Known[], after: readonly Known[]): Difference[] {
	const [old, now] = [before, after].map(list => new Map(list.map(item => [item.name, item])));
	const names = [...new Set([...(old?.keys() ?? []), ...(now?.keys() ?? [])])].sort();
	return names.flatMap(name => {
		const [was, is] = [old?.get(name), now?.get(name)];
		const same = was?.sha256 === is?.sha256 || was?.sha256 === undefined || is?.sha256 === undefined;
		if (was?.version === is?.version && same) return [];
		// The pool of the security archive lies below a folder of its own.
		const security = /^Filename: pool\/updates\//m.test(is?.stanza ?? '');
		return [{name, old: was?.version, new: is?.version, security}];
	});
}

/** One line for each, for people. */
export function formatDifference(differences: readonly Difference[]): string[] {
	return differences.map(({name, old, new: now, security}) => {
		const change = old === undefined ? `${now}, new` : now === undefined ? `${old}, gone` : `${old} -> ${now}`;
		return `${name} ${change}${security ? ' (security)' : ''}`;
	});
}
