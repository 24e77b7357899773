import {readFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {packageFolder} from '../paths.ts';
import {formatReference} from './docs.ts';
import {makeEditorSchema} from './editor.ts';

const read = (name: string) => readFile(join(packageFolder, 'docs', name), 'utf8');

test('docs/profile.md is what the schema says (npm run docs)', async t => {
	t.is(await read('profile.md'), await formatReference());
});

test('docs/profile.schema.json is what the schema says (npm run docs)', async t => {
	t.deepEqual(JSON.parse(await read('profile.schema.json')), JSON.parse(JSON.stringify(makeEditorSchema())));
});

test('every field of the reference has a type', async t => {
	const rows = (await formatReference()).split('\n').filter(line => line.startsWith('| `'));
	t.true(rows.length > 30);
	for (const row of rows) t.notRegex(row, /^\| `[^`]+` \| +\|/);
});
