import {readFile, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {basename, join} from 'node:path';
import test from 'ava';
import {build} from 'esbuild';
import {withFolder} from '../folder.ts';
import {packageFolder} from '../paths.ts';
import {ProgramError, run} from '../run.ts';

const folder = join(packageFolder, 'docs/nightly');

/** GitHub's own parser of workflows, whose JSON only a bundler can import with this Node.js. */
const {NoOperationTraceWriter, parseWorkflow} = await withFolder(tmpdir(), async work => {
	const outfile = join(work, 'parser.cjs');
	const entry = {contents: "export * from '@actions/workflow-parser'", resolveDir: packageFolder};
	await build({stdin: entry, bundle: true, platform: 'node', format: 'cjs', outfile, logLevel: 'error'});
	return ((await import(outfile)) as {default: typeof import('@actions/workflow-parser')}).default;
});

for (const name of ['github.yaml', 'forgejo.yaml'])
	test(`${name} is a workflow`, async t => {
		const content = await readFile(join(folder, name), 'utf8');
		const errorsOf = (text: string) =>
			parseWorkflow({name, content: text}, new NoOperationTraceWriter())
				.context.errors.getErrors()
				.map(({message}) => message);
		t.deepEqual(errorsOf(content), []);
		t.not(errorsOf(content.replace('runs-on:', 'run-on:')).length, 0);
	});

test('no workflow keeps images where they are removed by themselves, nor makes the folder that they go to', async t => {
	for (const name of ['github.yaml', 'forgejo.yaml']) {
		const text = await readFile(join(folder, name), 'utf8');
		t.notRegex(text, /actions\/cache/);
		t.notRegex(text, /mkdir/, 'a share that is not mounted must be an error');
		const [, published = ''] = /--publish (\S+)/.exec(text) ?? [];
		t.regex(text, new RegExp(`volumes:\\n\\s+- (${published.replace(/\/[^/]+$/, '')}):\\1\\n`));
	}
});

test('systemd takes the timer and its service', async t => {
	const units = ['bringup-rebuild.service', 'bringup-rebuild.timer'].map(name => join(folder, name));
	const verify = async (paths: readonly string[]) => {
		const said: string[] = [];
		const onLine = (line: string) => said.push(line);
		await run(['systemd-analyze', 'verify', '--man=no', ...paths], {onLine}).catch(error => {
			if (!(error instanceof ProgramError) || said.length === 0) throw error;
		});
		// Of a path that is not here it says so; of a line that it does not know, too.
		return said.filter(line => line.includes('bringup-rebuild') && !/is not executable|No such file/.test(line));
	};
	t.deepEqual(await verify(units), []);
	await withFolder(tmpdir(), async work => {
		const copies = units.map(path => join(work, basename(path)));
		for (const [index, path] of units.entries())
			await writeFile(
				copies[index] ?? '',
				(await readFile(path, 'utf8')).replace(/^\[(Service|Timer)\]/m, '$&\nNonsense=1'),
			);
		t.is((await verify(copies)).length, units.length);
	});
	await run(['systemd-analyze', 'calendar', '*-*-* 02:30:00']);
	t.pass();
});
