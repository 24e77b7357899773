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

/** The package that a program of this workstation is of; its list may name it without /usr. */
async function findOwner(path: string): Promise<string> {
	const tries = [path, path.replace(/^\/usr/, ''), await realpath(path)];
	const found = await run(['dpkg', '--search', ...new Set(tries)]).catch(error => String(error.output));
	return /^([a-z0-9][a-z0-9+.-]+)(:\w+)?: \//m.exec(found)?.[1] ?? '';
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

/** Every Debian has it. */
async function isEverywhere(name: string): Promise<boolean> {
	// biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg-query's own syntax
	const output = await run(['dpkg-query', '--show', '--showformat', '${Essential} ${Priority}', name]);
	return /yes|required/.test(output);
}

test('the package that is named for a program is the one that it is of', async t => {
	let checked = 0;
	for (const program of inBuilder) {
		const path = await findProgram(program);
		if (path === undefined) continue;
		checked++;
		t.is(packageOf(program), await findOwner(path), program);
	}
	t.true(checked > 25, [...inBuilder].join(' '));
});

test('setup.sh brings every program that bringup or a test starts', async t => {
	// They are there before setup.sh is.
	const before = ['node', 'npm'];
	const needed = [...inTests, ...inBuilder].filter(name => !before.includes(name));
	const brought = rows.map(([, , name]) => name);
	const lost: string[] = [];
	for (const program of new Set(needed)) {
		const path = await findProgram(program);
		const owner = path === undefined ? undefined : await findOwner(path);
		// What is not on this machine is of a goal that it has not; in the tests nothing else is first in a list.
		if (owner === undefined && !inTests.has(program)) continue;
		const name = owner ?? packageOf(program);
		if (!brought.some(one => one === name || one?.startsWith(`${name}-`)) && !(owner && (await isEverywhere(owner))))
			lost.push(`${program} (${name})`);
	}
	t.deepEqual(lost, []);
	t.true(needed.length > 40, needed.join(' '));
});

test('each row of setup.sh names the package that its file is of', async t => {
	let checked = 0;
	for (const [, what = '', name] of rows) {
		const path = await findProgram(what);
		if (path === undefined) continue; // of a goal that this machine has not
		checked++;
		t.is(await findOwner(path), name as string, what);
	}
	t.true(checked > 20);
});
