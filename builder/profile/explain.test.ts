import {isIP} from 'node:net';
import test from 'ava';
import type {FieldPath} from '../../firstboot/facts/fact.ts';
import {formatPath} from '../../firstboot/facts/issues.ts';
import {explainIssues} from './explain.ts';
import type {Place} from './faults.ts';
import {listLeaves, listMaps} from './leaves.ts';
import {profileSchema} from './schema.ts';
import {findBranches} from './shape.ts';

const place: Place = {file: 'p.yaml', text: '', line: 1, column: 1, length: 1};

/** What is said about one value at one place. */
function explain(path: FieldPath, value: unknown): {path: string; message: string}[] {
	const root = path.reduceRight<unknown>((inner, part) => (part === 0 ? [inner] : {[part]: inner}), value);
	const source = {value: root, find: () => place, findName: () => place, folderOf: () => ''};
	const result = profileSchema.safeParse(root);
	return result.success ? [] : explainIssues(result.error.issues, source);
}

/** Words of the library, and not of a person. */
const foreign =
	/pattern|invalid|too (big|small)|undefined|\bNaN\b|\[object|expected (string|number|record|array|object|int)\b|^expected expected/i;

const wrong = [
	'',
	' ',
	'\n',
	'ÄÖ/ü',
	'..',
	'/..',
	'x'.repeat(5000),
	-1,
	0,
	0.5,
	1e9,
	true,
	null,
	[],
	[[]],
	{},
	{no: 1},
];

test('whatever is wrong with a field is told in words for its author', t => {
	const leaves = listLeaves();
	t.true(leaves.length > 150);
	let told = 0;
	const places = leaves.flatMap(path => path.map((_, at) => path.slice(0, at + 1)));
	for (const path of new Map(places.map(path => [JSON.stringify(path), path])).values())
		for (const value of wrong)
			for (const {message} of explain(path, value)) {
				told++;
				t.notRegex(message, foreign, `${path.join('.')}: ${JSON.stringify(value)?.slice(0, 40)}`);
			}
	t.true(told > 5000);
});

test('a wrong name of a map gets the words for names, at the name', t => {
	const maps = listMaps();
	t.true(maps.length > 15);
	for (const path of maps) {
		const faults = explain([...path, '\u0001 no name'], {}).filter(fault => fault.path.includes('no name'));
		t.regex(faults[0]?.message ?? '', /^expected (an?|the|one) /, path.join('.'));
	}
});

test('a number out of its bounds is told with the bound', t => {
	const messageOf = (path: FieldPath, value: unknown) =>
		explain(path, value).find(fault => fault.path === path.join('.').replace(/\.0/g, '[0]'))?.message;
	t.is(messageOf(['network', 'vlans', 'x', 'id'], 0), 'expected a number of at least 1, found number 0');
	t.is(messageOf(['network', 'vlans', 'x', 'id'], 4095), 'expected a number of at most 4094, found number 4095');
	t.is(messageOf(['network', 'vlans', 'x', 'id'], 1.5), 'expected a whole number, found number 1.5');
	t.is(messageOf(['virtualization', 'cpuOvercommit'], 0), 'expected a number of at least 1, found number 0');
	t.is(
		messageOf(['virtualization', 'domains', 'x', 'disks'], []),
		'expected a list with at least one item, found a list',
	);
	t.is(messageOf(['install', 'disk', 'serial'], ''), 'expected text that is not empty');
});

/** Whether the field itself has a fault with that value. */
const refuses = (path: FieldPath, value: unknown) =>
	explain(path, value).some(fault => fault.path === formatPath(path));

test('a path on the machine has no . and .. in it, and no name is one of them', t => {
	const paths = listLeaves().filter(path => findBranches(path).some(({pattern}) => pattern?.startsWith('^(\\/')));
	t.true(paths.length >= 3);
	for (const path of paths) {
		t.false(refuses(path, '/srv/a.b/..c/d..'), path.join('.'));
		for (const given of ['/srv/../etc', '/./usr', '/..', '/srv/.', '/srv/..'])
			t.true(refuses(path, given), `${path.join('.')}: ${given}`);
	}
	const named = listLeaves().filter(path =>
		findBranches(path).every(({type, pattern}) => type === 'string' && pattern),
	);
	for (const path of named) for (const dots of ['.', '..']) t.true(refuses(path, dots), `${path.join('.')}: ${dots}`);
	for (const path of listMaps())
		for (const name of ['.', '..', '/srv/../etc/x', '/./x'])
			t.not(explain([...path, name], {}).length, 0, `${path.join('.')}: ${name}`);
});

test('a prefix length is a whole number of bits that the family has', t => {
	const subnets = listLeaves().filter(path => findBranches(path).some(({format}) => format === 'cidrv6'));
	t.true(subnets.length >= 9);
	for (const path of subnets) {
		for (const prefix of ['0', '64', '128']) t.false(refuses(path, `2001:db8::10/${prefix}`), path.join('.'));
		for (const prefix of ['64.5', 'NaN', '129', '-1', '064', ' 64', '1e1', '0x40', '', '64/64', 'Infinity', '64\n'])
			for (const address of ['2001:db8::10', '192.0.2.10'])
				t.true(refuses(path, `${address}/${prefix}`), `${path.join('.')}: ${address}/${prefix}`);
	}
});

test('an address is one that the operating system takes', t => {
	const parts = [
		'2001',
		'db8',
		'0',
		'::',
		':',
		'.',
		'1',
		'192.0.2.1',
		'%eth0',
		']',
		'/',
		' ',
		'\n',
		'g',
		'00001',
		'ffff',
	];
	let state = 1;
	const pick = (count: number) => {
		state = (state * 48_271) % 2_147_483_647;
		return state % count;
	};
	for (let round = 0; round < 10_000; round++) {
		const text = Array.from({length: 1 + pick(8)}, () => parts[pick(parts.length)]).join('');
		if (!refuses(['network', 'controller'], text)) t.not(isIP(text), 0, JSON.stringify(text));
	}
});

test('a URL is one word of ASCII', t => {
	const urls = listLeaves().filter(path => findBranches(path).some(({format}) => format === 'uri'));
	t.true(urls.length >= 6);
	for (const path of urls) {
		t.false(refuses(path, 'https://a.example/b'), path.join('.'));
		for (const url of [
			'http://a b',
			'http://a.example/debian main',
			'http://a\nb',
			'http://a.example/b\n',
			'http:/a',
			'http:a',
			'x',
			' http://a',
		])
			t.true(refuses(path, url), `${path.join('.')}: ${JSON.stringify(url)}`);
	}
});

test('text in braces without quotes is told to be a map', t => {
	t.regex(
		explain(['identity', 'hostname'], {serial: null})
			.map(({message}) => message)
			.join(),
		/found a map; put quotes around/,
	);
});

test('of a choice between maps, the faults are told of the one that is meant', t => {
	const told = (asset: unknown) =>
		explain(['kubernetes', 'binary', 'asset'], asset).filter(({path}) => path.startsWith('kubernetes.binary'));
	t.deepEqual(told({url: 'https://a.example/b'}), [
		{
			path: 'kubernetes.binary.asset.sha256',
			message: 'is missing; expected text',
			place,
		},
	]);
});
