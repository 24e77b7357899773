import {tmpdir} from 'node:os';
import test from 'ava';
import {buildBundle} from './bundle.ts';

test('the program is the same, wherever the command was given', async t => {
	const here = await buildBundle();
	const before = process.cwd();
	process.chdir(tmpdir());
	t.teardown(() => process.chdir(before));
	t.is(await buildBundle(), here);
});
