import {mkdir, readdir, readFile, symlink, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {withFolder} from './folder.ts';
import {packageFolder} from './paths.ts';
import {run} from './run.ts';

test('the npm package has all that its commands and its docs name, and works from any folder', t =>
	withFolder(tmpdir(), async folder => {
		const env = {HOME: folder};
		const pack = ['npm', 'pack', '--ignore-scripts', '--silent', '--pack-destination', folder] as const;
		const [tar = ''] = (await run(pack, {cwd: packageFolder, env})).trim().split('\n');
		await run(['tar', '--extract', '--file', join(folder, tar), '--directory', folder]);
		const installed = join(folder, 'package');
		await symlink(join(packageFolder, 'node_modules'), join(installed, 'node_modules'));
		const work = join(folder, 'elsewhere');
		await mkdir(join(work, 'profiles'), {recursive: true});
		const bringup = (...words: string[]) =>
			run(['node', join(installed, 'dist/builder/cli.js'), ...words], {cwd: work, env});
		await writeFile(join(work, 'mine.yaml'), 'schema: 1\nextends: guest.yaml\ndebian: {packages: [jq]}\n');
		// One's own of the same name extends the shipped one.
		await writeFile(join(work, 'profiles/node.yaml'), 'schema: 1\nextends: node.yaml\nidentity: {hostname: own}\n');
		for (const profile of ['mine.yaml', 'node', 'guest'])
			t.regex(await bringup('check', '--offline', '--profile', profile), /no fault/, profile);
		t.regex(await bringup('render', '--profile', 'node'), /auto\/config/);
		t.regex(await bringup('schema'), /json-schema/);
		t.regex(await bringup('build-iso', '--help'), /^usage: build-iso/);
		// What README leads to is there, and nothing that works in a clone alone.
		const readme = await readFile(join(installed, 'README.md'), 'utf8');
		const links = [...readme.matchAll(/\]\(([\w./-]+)(?:#[\w-]*)?\)/g)].map(([, path = '']) => path);
		t.true(links.length > 5);
		for (const path of links)
			await t.notThrowsAsync(
				readFile(join(installed, path)).catch(() => readdir(join(installed, path))),
				path,
			);
		const names = await readdir(installed);
		t.true(['CHANGELOG.md', 'LICENSE', 'README.md', 'profiles', 'templates'].every(name => names.includes(name)));
		t.false(names.includes('setup.sh'));
	}));
