import {access, readdir, readFile, realpath} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {packageFolder} from './paths.ts';
import {packageOf, run} from './run.ts';

/** Where Debian keeps programs. */
const folders = ['/usr/bin', '/usr/sbin'];

async function findProgram(name: string): Promise<string | undefined> {
	for (const path of name.startsWith('/') ? [name] : folders.map(folder => join(folder, name)))
		if (
			await access(path).then(
				() => true,
				() => false,
			)
		)
			return path;
	return undefined;
}

/** The package of each file that is on this workstation; the list of a package may name it without /usr. */
async function findOwners(names: Iterable<string>): Promise<Map<string, string>> {
	const owners = new Map<string, string>();
	const tries = new Map<string, string[]>();
	for (const name of names) {
		const path = await findProgram(name);
		if (path !== undefined) tries.set(name, [path, path.replace(/^\/usr/, ''), await realpath(path)]);
	}
	const found = await run(['dpkg', '--search', ...new Set([...tries.values()].flat())]).catch(error =>
		String(error.output),
	);
	const packages = new Map(
		[...found.matchAll(/^([a-z0-9][a-z0-9+.-]+)(?::\w+)?: (\/.*)$/gm)].map(([, name = '', path = '']) => [path, name]),
	);
	for (const [name, paths] of tries) owners.set(name, paths.map(path => packages.get(path)).find(Boolean) ?? '');
	return owners;
}

/** The words that the source of a room has where a program stands. */
async function listPrograms(
	room: string,
	patterns: readonly RegExp[],
	isMeant: (path: string) => boolean,
): Promise<Set<string>> {
	const found = new Set<string>();
	for (const path of await readdir(join(packageFolder, room), {recursive: true})) {
		if (!path.endsWith('.ts') || !isMeant(path)) continue;
		const text = await readFile(join(packageFolder, room, path), 'utf8');
		for (const [, words = ''] of patterns.flatMap(pattern => [...text.matchAll(pattern)]))
			for (const [, word = ''] of words.matchAll(/'([^']+)'/g)) found.add(word);
	}
	return found;
}

const inBuilder = await listPrograms(
	'builder',
	[
		/\b(?:run|runLong|start|tie|pipe)\(\s*\[\s*(?:\.\.\.\(\[\s*)?('[^']+')/g,
		/\], \[('[a-z][\w-]+'),/g, // what a pipe leads to
		/[cC]ommand(?:: Command)? = \[\s*('[^']+')/g,
		/apt\(\w+, ('[^']+')/g,
		/checkPrograms\(\s*\[([^\]]+)\]/g,
		/[pP]rograms = \[((?:\s*\.\.\.\['[a-z][^\]]+\],)+)/g,
	],
	path => !path.endsWith('.test.ts') && path !== 'build/installer/environment.ts',
);
/** On this workstation: what a test runs on its machine is a method's. */
const inTest = [/(?:(?<![.\w])(?:run|runLong|start)\(\[|\bwire\.on\()\s*('[a-z][^']*')/g];
const isTest = (path: string) => path.endsWith('.test.ts') && path !== 'run.test.ts'; // that one starts what is not there
const inTests = new Set([
	...(await listPrograms('ovmf-tests', inTest, () => true)),
	...(await listPrograms('builder', inTest, isTest)),
	...(await listPrograms('firstboot', inTest, isTest)),
]);

const rows = (await readFile(join(packageFolder, 'setup.sh'), 'utf8'))
	.split('\n')
	.map(line => line.split(' '))
	.filter(([goal = '']) => ['build', 'boot', 'test', 'long'].includes(goal));

/** The packages that every Debian has. */
// biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg-query's own syntax
const installed = await run(['dpkg-query', '--show', '--showformat', '${Package} ${Essential} ${Priority}\\n']);
const everywhere = new Set([...installed.matchAll(/^(\S+) .*(?:yes|required)/gm)].map(([, name]) => name));

const owners = await findOwners([...inBuilder, ...inTests, ...rows.map(([, what = '']) => what)]);

test('the package that is named for a program is the one that it is of', t => {
	let checked = 0;
	for (const program of inBuilder) {
		const owner = owners.get(program);
		if (owner === undefined) continue;
		checked++;
		t.is(packageOf(program), owner, program);
	}
	t.true(checked > 25, [...inBuilder].join(' '));
});

test('setup.sh brings every program that bringup or a test starts', t => {
	// They are there before setup.sh is.
	const before = ['node', 'npm'];
	const needed = [...inTests, ...inBuilder].filter(name => !before.includes(name));
	const brought = rows.map(([, , name]) => name);
	const lost: string[] = [];
	for (const program of new Set(needed)) {
		const owner = owners.get(program);
		// What is not on this machine is of a goal that it has not; in the tests nothing else is first in a list.
		if (owner === undefined && !inTests.has(program)) continue;
		const name = owner ?? packageOf(program);
		if (!brought.some(one => one === name || one?.startsWith(`${name}-`)) && !(owner && everywhere.has(owner)))
			lost.push(`${program} (${name})`);
	}
	t.deepEqual(lost, []);
	t.true(needed.length > 40, needed.join(' '));
});

test('each row of setup.sh names the package that its file is of', t => {
	let checked = 0;
	for (const [, what = '', name] of rows) {
		const owner = owners.get(what);
		if (owner === undefined) continue; // of a goal that this machine has not
		checked++;
		t.is(owner, name as string, what);
	}
	t.true(checked > 20);
});
