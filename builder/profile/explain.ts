import {distance} from 'fastest-levenshtein';
import type {FieldPath} from '../../firstboot/facts/fact.ts';
import {deepest, expectation, formatPath, type Issue, kindOf, valueAt} from '../../firstboot/facts/issues.ts';
import type {Fault} from './faults.ts';
import {findStrays, listFields} from './shape.ts';
import type {Source} from './source.ts';

/** ` (did you mean "x"?)` when a candidate is near, or nothing. */
export function suggest(given: string, candidates: readonly string[]): string {
	const near = candidates
		.map(name => ({name, far: distance(given.toLowerCase(), name.toLowerCase())}))
		.sort((a, b) => a.far - b.far)[0];
	return near && near.far <= Math.max(2, given.length / 3) ? ` (did you mean "${near.name}"?)` : '';
}

/** A field that the schema does not know. */
function explainStray(path: FieldPath, source: Source): Fault {
	const fields = listFields(path.slice(0, -1));
	const known = suggest(String(path.at(-1)), fields) || `; the fields here are ${fields.join(', ')}`;
	return {path: formatPath(path), message: `there is no such field${known}`, place: source.findName(path)};
}

/** The fields of seeds that no profile has: what a seed puts over the profile of its image is no whole profile, and not parsed as one. */
export function explainSeeds(source: Source): Fault[] {
	const domains = valueAt(source.value, ['virtualization', 'domains']);
	if (typeof domains !== 'object' || domains === null) return [];
	return Object.keys(domains).flatMap(name => {
		const path = ['virtualization', 'domains', name, 'seed', 'machine'];
		return findStrays(path, valueAt(source.value, path)).map(stray => explainStray(stray, source));
	});
}

function explainIssue(issue: Issue, source: Source): Fault[] {
	const path = issue.path as FieldPath;
	if (issue.code === 'unrecognized_keys') {
		return issue.keys.map(key => explainStray([...path, key], source));
	}
	const value = valueAt(source.value, path);
	if (issue.code === 'invalid_key')
		return [{path: formatPath(path), message: `expected ${expectation(issue)}`, place: source.findName(path)}];
	if (issue.code === 'custom') return [{path: formatPath(path), message: issue.message, place: source.find(path)}];
	const expected = expectation(issue);
	if (value === undefined) {
		return [{path: formatPath(path), message: `is missing; expected ${expected}`, place: source.findName(path)}];
	}
	const meant =
		issue.code === 'invalid_value' && typeof value === 'string' ? suggest(value, issue.values.map(String)) : '';
	const given = typeof value === 'string' ? '' : `, found ${kindOf(value)}`;
	return [{path: formatPath(path), message: `expected ${expected}${given}${meant}`, place: source.find(path)}];
}

/** What zod found, in words for the author of the profile. */
export function explainIssues(issues: readonly Issue[], source: Source): Fault[] {
	return issues.flatMap(deepest).flatMap(issue => explainIssue(issue, source));
}
