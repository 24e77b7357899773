import test from 'ava';
import type {FieldPath} from '../../firstboot/facts/fact.ts';
import {listLeaves} from './leaves.ts';
import {findBranches} from './shape.ts';
import {parseText} from './yaml.ts';

/** A YAML text in which one place has a scalar. */
function write(path: FieldPath, scalar: string): string {
	return path.reduceRight<string>(
		(inner, part) => (part === 0 ? `[${inner}]` : `{${JSON.stringify(part)}: ${inner}}`),
		scalar,
	);
}

const valueAt = (value: unknown, path: FieldPath) =>
	path.reduce<unknown>((inner, part) => (inner as Record<string | number, unknown>)[part], value);

/** What YAML, of whatever version, takes for a number, a truth or a date. */
const scalars =
	'2205E6075402 0x1a2b3c4d 0o17 010 1e999 -1e999 .inf -.INF .nan 1_000 1e3 +12 1.50 0 12345678901234567890 true False yes off 2024-01-02 2024-01-02T03:04:05Z 12:30:45 02:00:5e:10:00:01'.split(
		' ',
	);

test('a text field has the text that was written, whatever YAML takes it for', t => {
	const leaves = listLeaves().filter(path => {
		const types = findBranches(path).map(({type}) => type);
		return (
			types.includes('string') && !types.some(type => type === 'number' || type === 'integer' || type === 'boolean')
		);
	});
	t.true(leaves.length > 100);
	for (const path of leaves)
		for (const scalar of scalars)
			for (const text of scalar === '010' ? [scalar, `&a ${scalar}`, `!!str ${scalar}`] : [scalar]) {
				const {value, faults} = parseText('p.yaml', write(path, text));
				t.deepEqual(faults, [], `${path.join('.')}: ${text}`);
				t.is(valueAt(value, path), scalar, `${path.join('.')}: ${text}`);
			}
});

test('no number becomes nothing: it is kept, or it is a fault', t => {
	for (const path of listLeaves())
		for (const scalar of scalars) {
			const {value, faults} = parseText('p.yaml', write(path, scalar));
			if (faults.length > 0) continue;
			const found = valueAt(value, path);
			t.true(
				typeof found === 'string' || typeof found === 'boolean' || Number.isFinite(found),
				`${path.join('.')}: ${scalar}`,
			);
		}
	for (const text of [
		'machine: {cpus: .inf}',
		'machine: {cpus: 1e999}',
		'kubernetes: {registries: {x: 2205E6075402}}',
	]) {
		const [fault, more] = parseText('p.yaml', text).faults;
		t.regex(fault?.message ?? '', /put quotes around it if it is text/);
		t.is(more, undefined);
	}
	t.regex(
		parseText('p.yaml', 'kubernetes: {registries: {x: 12345678901234567890}}').faults[0]?.message ?? '',
		/more digits/,
	);
});

test('a field that takes numbers and text has the number where that is what was written', t => {
	const read = (scalar: string) =>
		valueAt(parseText('p.yaml', write(['hardening', 'sysctl', 'x'], scalar)).value, ['hardening', 'sysctl', 'x']);
	t.is(read('1'), 1);
	t.is(read('010'), '010');
	t.is(read('0x10'), '0x10');
	t.is(read('1e999'), '1e999');
});

test('what a seed says of its clone is read by the same rules', t => {
	const path = ['virtualization', 'domains', 'x', 'seed', 'machine', 'kubernetes', 'cluster'];
	t.is(valueAt(parseText('p.yaml', write(path, '0e12')).value, path), '0e12');
});

test('a name is the text that was written', t => {
	const {value} = parseText('p.yaml', 'network: {links: {010: {}, 1e999: {}, true: {}, 0x1f: {}}}');
	t.deepEqual(Object.keys(valueAt(value, ['network', 'links']) as object), ['010', '1e999', 'true', '0x1f']);
	t.regex(parseText('p.yaml', 'network: {links: {1: {}, "1": {}}}').faults[0]?.message ?? '', /unique/);
});

test('an alias gives each field what was written', t => {
	const {value} = parseText('p.yaml', 'a: &n 010\ninstall: {disk: {serial: *n}}\nmachine: {cpus: *n}\n');
	t.is(valueAt(value, ['install', 'disk', 'serial']), '010');
	t.is(valueAt(value, ['machine', 'cpus']), 10);
});

test('what no profile can mean is told with its place, in words for its author', t => {
	const faultOf = (text: string) => {
		const {faults} = parseText('p.yaml', text);
		return faults.map(({path, message, place}) => `${place.line}:${place.column} ${path}: ${message}`).join('\n');
	};
	t.regex(faultOf('a: 1\n<<: {b: 2}\n'), /^2:1 <<: merge keys/);
	t.regex(faultOf('network:\n  links:\n    __proto__: {}\n'), /^3:5 network\.links\.__proto__: is not a name/);
	t.regex(faultOf('a: 1\n---\nb: 2\n'), /^2:1 : a profile is one document/);
	t.regex(faultOf('a: &a {b: *a}\n'), /contains itself/);
	t.regex(faultOf('['.repeat(20_000)), /nested too deep/);
	t.regex(faultOf('%YAML 1.1\n---\na: !!set {x, y}\n'), /of a type that profiles do not have/);
});
