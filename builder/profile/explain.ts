import {distance} from 'fastest-levenshtein';
import type {z} from 'zod';
import type {FieldPath} from '../../firstboot/facts/fact.ts';
import {type Fault, formatPath} from './faults.ts';
import {listFields} from './shape.ts';
import type {Source} from './source.ts';

type Issue = z.core.$ZodIssue;
/** ` (did you mean "x"?)` when a candidate is near, or nothing. */
export function suggest(given: string, candidates: readonly string[]): string {
	const near = candidates
		.map(name => ({name, far: distance(given.toLowerCase(), name.toLowerCase())}))
		.sort((a, b) => a.far - b.far)[0];
	return near && near.far <= Math.max(2, given.length / 3) ? ` (did you mean "${near.name}"?)` : '';
}

function kindOf(value: unknown): string {
	if (value === null || value === undefined) return 'nothing';
	return Array.isArray(value)
		? 'a list'
		: typeof value === 'object'
			? 'a map'
			: `${typeof value} ${JSON.stringify(value)}`;
}

const kinds: Record<string, string> = {
	object: 'a map of fields',
	array: 'a list',
	string: 'text',
	number: 'a number',
	boolean: 'true or false',
};
const formats: Record<string, string> = {
	url: 'a URL such as http://mirror.example/debian',
	ipv4: 'an IPv4 address',
	ipv6: 'an IPv6 address',
	cidrv4: 'an IPv4 address with its prefix length, such as 192.0.2.10/24',
	cidrv6: 'an IPv6 address with its prefix length, such as 2001:db8::10/64',
};

function expectation(issue: Issue): string {
	switch (issue.code) {
		case 'invalid_type':
			return kinds[issue.expected] ?? issue.expected;
		case 'invalid_value':
			return issue.values.length === 1 ? String(issue.values[0]) : `one of ${issue.values.join(', ')}`;
		case 'invalid_format':
			return formats[issue.format] ?? issue.message.replace(/^expected /, '');
		case 'too_small':
			return issue.origin === 'array' ? 'a list with at least one item' : 'text that is not empty';
		case 'invalid_union':
			return [...new Set(issue.errors.flatMap(branch => branch.map(expectation)))].join(', or ');
		case 'unrecognized_keys':
			return `no field ${issue.keys.join(', ')}`;
		default:
			return issue.message.replace(/^expected /, '');
	}
}

function valueAt(root: unknown, path: readonly PropertyKey[]): unknown {
	return path.reduce<unknown>((value, part) => (value as Record<PropertyKey, unknown> | undefined)?.[part], root);
}

/** A union's fault is that of the branch that went deepest, so that the place is the item and not the whole list. */
function deepest(issue: Issue): Issue[] {
	if (issue.code !== 'invalid_union') return [issue];
	const branch = issue.errors.find(issues =>
		issues.some(({path, code}) => path.length > 0 || code === 'unrecognized_keys'),
	);
	if (!branch) return [issue];
	return branch.map(inner => ({...inner, path: [...issue.path, ...inner.path]}) as Issue).flatMap(deepest);
}

function explainIssue(issue: Issue, source: Source): Fault[] {
	const path = issue.path as FieldPath;
	if (issue.code === 'unrecognized_keys') {
		return issue.keys.map(key => {
			const fields = listFields(path);
			const known = suggest(key, fields) || `; the fields here are ${fields.join(', ')}`;
			return {
				path: formatPath([...path, key]),
				message: `there is no such field${known}`,
				place: source.findName([...path, key]),
			};
		});
	}
	const value = valueAt(source.value, path);
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
