import {readdir, readFile} from 'node:fs/promises';
import {dirname, join, normalize, relative} from 'node:path';
import test from 'ava';
import {packageFolder} from './paths.ts';

interface Module {
	path: string;
	text: string;
	imports: string[];
}

async function listModules(): Promise<Module[]> {
	const modules: Module[] = [];
	for (const top of ['builder', 'firstboot', 'ovmf-tests']) {
		const entries = await readdir(join(packageFolder, top), {recursive: true, withFileTypes: true});
		for (const entry of entries.filter(entry => entry.isFile() && entry.name.endsWith('.ts'))) {
			const file = join(entry.parentPath, entry.name);
			const path = relative(packageFolder, file);
			const text = await readFile(file, 'utf8');
			const named = [...text.matchAll(/(?:from|import\()\s*'([^']+)'/g)].map(([, name = '']) => name);
			modules.push({
				path,
				text,
				imports: named.map(name => (name.startsWith('.') ? normalize(join(dirname(path), name)) : name)),
			});
		}
	}
	return modules;
}

const modules = await listModules();
const shipped = modules.filter(({path}) => !/\.test\./.test(path) && !path.startsWith('ovmf-tests/'));
const room = (path: string) =>
	path
		.split('/')
		.slice(0, path.startsWith('builder/') ? 2 : 1)
		.join('/');

/** What the files of a room may import beside their own room. */
const arrows: Record<string, RegExp> = {
	'builder/profile': /^builder\/(run|paths)\.ts$|^firstboot\/(sequence|facts\/.*)\.ts$/,
	'builder/render': /^builder\/(profile\/.*|run\.ts|paths\.ts)$|^firstboot\/(sequence|facts\/.*)\.ts$/,
	'builder/build':
		/^builder\/((render|profile|boot)\/.*|(run|paths|progress|folder)\.ts)$|^firstboot\/(sequence|facts\/.*)\.ts$/,
	'builder/bake':
		/^builder\/((build|render|profile|boot)\/.*|(run|paths|progress|folder|printable)\.ts)$|^firstboot\/(sequence|facts\/.*)\.ts$/,
	'builder/boot': /^builder\/(run|folder)\.ts$/,
	'builder/serve': /^builder\/((build|profile)\/.*|(run|folder|printable)\.ts)$/,
	'builder/workstation.ts': /^builder\/((run|folder|paths)\.ts|profile\/.*)$|^firstboot\/facts\/keys\.ts$/,
	'builder/progress.ts': /^builder\/(run|printable)\.ts$/,
	'builder/failure.ts': /^builder\/(run|folder|printable|profile\/faults)\.ts$/,
	'builder/printable.test.ts': /^builder\/(failure|printable|progress|run|serve\/board)\.ts$/,
	'builder/run.ts': /^builder\/printable\.ts$/,
	'builder/cli.ts': /^builder\/bringup\.ts$/,
	'builder/bringup.ts': /^builder\/(commands\/.*|failure\.ts)$/,
	'builder/bringup.test.say.ts': /^builder\/bringup\.ts$/,
	'builder/commands': /^builder\/|^firstboot\/(sequence|facts\/.*)\.ts$/,
	firstboot: /^firstboot\//,
	'ovmf-tests': /^(ovmf-tests\/|builder\/(boot|profile|serve)\/|builder\/run\.ts$)/,
};

for (const {path, imports} of modules) {
	test(`${path} imports what its room may`, t => {
		const own = room(path);
		const fromTests =
			/^(builder\/(paths|run|folder|failure|printable|bringup\.test\.say)\.ts|firstboot\/(sequence|facts\/.*)\.ts)$/;
		const forbidden = imports.filter(name => {
			if (!/^(builder|firstboot|ovmf-tests)\//.test(name) || room(name) === own || arrows[own]?.test(name))
				return false;
			return !(path.endsWith('.test.ts') && (fromTests.test(name) || name === path.replace('.test.ts', '.ts')));
		});
		t.deepEqual(forbidden, []);
	});
}

test('a phase imports no other phase, and never the door to the machine', t => {
	for (const {path, imports} of shipped.filter(({path}) => path.startsWith('firstboot/phases/'))) {
		t.deepEqual(
			imports.filter(name => name.startsWith('firstboot/phases/') || name === 'firstboot/apply.ts' || name === 'execa'),
			[],
			path,
		);
	}
});

test('programs are run through two doors only', t => {
	const doors = modules.filter(({imports}) =>
		imports.some(name => /^(execa|node:child_process|child_process)$/.test(name)),
	);
	t.deepEqual(doors.map(({path}) => path).sort(), ['builder/run.ts', 'firstboot/apply.ts']);
});

test("the process's arguments, environment and exit code belong to the two entries", t => {
	const users = shipped.filter(({text}) =>
		/process\.(argv|env|exitCode|exit\()/.test(text.replace(/^\s*(\/\/|\*).*$/gm, '')),
	);
	t.deepEqual(users.map(({path}) => path).sort(), ['builder/cli.ts', 'firstboot/main.ts']);
});

test('no grab-bag, no shell line, nothing left for later', t => {
	for (const {path, text} of modules.filter(({path}) => path !== 'builder/imports.test.ts')) {
		t.notRegex(path, /(^|\/)(utils?|helpers?|common|lib|core|shared|misc|types|constants|index)(\/|\.ts$)/);
		t.notRegex(text, /shell: *true|'(ba|da)?sh', *'-c'/, path);
		t.notRegex(text, /\b(TODO|FIXME|XXX|HACK)\b/, path);
	}
});

test('no file is longer than a person reads at once', t => {
	for (const {path, text} of modules) t.true(text.split('\n').length <= 301, path);
});
