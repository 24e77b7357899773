import {readdir, readFile, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {parse} from 'yaml';
import {withFolder} from '../folder.ts';
import {packageFolder} from '../paths.ts';
import {ProgramError, run} from '../run.ts';
import {makeEditorSchema} from './editor.ts';

/** What python3-jsonschema says against these profiles; nothing where it takes them. */
const validate = (profiles: readonly unknown[]) =>
	withFolder(tmpdir(), async folder => {
		const schema = join(folder, 'schema.json');
		await writeFile(schema, JSON.stringify(makeEditorSchema()));
		const paths = profiles.map((_, index) => join(folder, `${index}.json`));
		await Promise.all(paths.map((path, index) => writeFile(path, JSON.stringify(profiles[index]))));
		try {
			await run(['/usr/bin/python3', '-m', 'jsonschema', ...paths.flatMap(path => ['-i', path]), schema]);
			return '';
		} catch (error) {
			if (!(error instanceof ProgramError)) throw error;
			return error.output;
		}
	});

test('an editor takes every profile that there is', async t => {
	const folders = ['profiles', 'ovmf-tests/profiles', 'builder/render/golden'].map(name => join(packageFolder, name));
	const files = await Promise.all(
		folders.map(async folder =>
			(await readdir(folder)).filter(name => name.endsWith('.yaml')).map(name => join(folder, name)),
		),
	);
	const texts = await Promise.all(files.flat().map(path => readFile(path, 'utf8')));
	t.true(texts.length > 25);
	t.is(await validate(texts.map(text => parse(text))), '');
});

test('an editor shows what is wrong in a file', async t => {
	const whole = {schema: 1, install: {disk: {minSize: '16G'}}, identity: {hostname: 'a'}};
	t.is(await validate([whole]), '');
	t.not(await validate([{schema: 1, install: whole.install}]), '');
	t.not(await validate([{...whole, debain: {}}]), '');
	t.not(await validate([{...whole, install: {disk: {minSize: '16 gigs'}}}]), '');
	t.not(await validate([{schema: 1, extends: 'a.yaml', identity: {users: [{sshKeys: 'auto'}]}}]), '');
});
