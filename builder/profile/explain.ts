import {distance} from 'fastest-levenshtein';
import type {z} from 'zod';
import type {FieldPath} from '../../firstboot/facts/fact.ts';
import {type Fault, formatPath} from './faults.ts';
import {listFields} from './shape.ts';
import type {Source} from './source.ts';
import {isPlain} from './yaml.ts';

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
	const isBraced =
		isPlain(value) && Object.values(value).length > 0 && Object.values(value).every(item => item === null);
	return Array.isArray(value)
		? 'a list'
		: typeof value === 'object'
			? `a map${isBraced ? '; put quotes around it if it is text' : ''}`
			: `${typeof value} ${JSON.stringify(value)}`;
}

const kinds: Record<string, string> = {
	object: 'a map of fields',
	record: 'a map by name',
	array: 'a list',
	string: 'text',
	number: 'a number',
	int: 'a whole number',
	boolean: 'true or false',
};
const formats: Record<string, string> = {
	url: 'a URL such as http://mirror.example/debian',
	ipv4: 'an IPv4 address',
	ipv6: 'an IPv6 address',
	cidrv4: 'an IPv4 address with its prefix length, such as 192.0.2.10/24',
	cidrv6: 'an IPv6 address with its prefix length, such as 2001:db8::10/64',
};

function expectAmount(origin: string, bound: 'at least' | 'at most', amount: number | bigint): string {
	const one = Number(amount) === 1;
	if (origin === 'string')
		return bound === 'at least' && one ? 'text that is not empty' : `text of ${bound} ${amount} characters`;
	if (origin === 'array') return `a list with ${bound} ${one ? 'one item' : `${amount} items`}`;
	return `${origin === 'int' ? 'a whole number' : 'a number'} of ${bound} ${amount}`;
}

function expectation(issue: Issue): string {
	switch (issue.code) {
		case 'invalid_type':
			return kinds[issue.expected] ?? issue.expected;
		case 'invalid_value':
			return issue.values.length === 1 ? String(issue.values[0]) : `one of ${issue.values.join(', ')}`;
		case 'invalid_format':
			return formats[issue.format] ?? issue.message.replace(/^expected /, '');
		case 'too_small':
			return expectAmount(issue.origin, 'at least', issue.minimum);
		case 'too_big':
			return expectAmount(issue.origin, 'at most', issue.maximum);
		case 'invalid_key':
			return issue.issues.map(inner => expectation(inner as Issue)).join(', and ');
		case 'invalid_union':
			return [...new Set(issue.errors.flatMap(branch => branch.map(expectation)))].join(', or ');
		case 'unrecognized_keys':
			return `no field ${issue.keys.join(', ')}`;
		default:
			return issue.message.replace(/^expected /, '');
	}
}

function valueAt(root: unknown, path: readonly PropertyKey[]): unknown {
	return path.reduce<unknown>((value, part) => {
		const map = value as Record<PropertyKey, unknown> | null | undefined;
		return map !== null && map !== undefined && Object.hasOwn(map, part) ? map[part] : undefined;
	}, root);
}

/** How many fields a branch of a union does not know. */
const countUnknown = (issues: readonly Issue[]) =>
	issues.reduce((sum, issue) => sum + (issue.code === 'unrecognized_keys' ? issue.keys.length : 0), 0);

/** A union's faults are those of the branch that knows most of the fields, so that the place is the item and not the whole list. */
function deepest(issue: Issue): Issue[] {
	if (issue.code !== 'invalid_union') return [issue];
	const [branch] = issue.errors
		.filter(issues => issues.some(({path, code}) => path.length > 0 || code === 'unrecognized_keys'))
		.sort((a, b) => countUnknown(a) - countUnknown(b));
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
