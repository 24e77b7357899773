import {mkdir, readdir, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {withFolder} from '../folder.ts';
import {packageFolder} from '../paths.ts';
import {UsageError} from '../run.ts';
import {boot} from './boot.ts';
import type {CliCommand} from './command.ts';
import {seed} from './seed.ts';
import {findState, serveCommand} from './serve.ts';

const call = (command: CliCommand, ...argv: string[]) => {
	const surroundings = {
		signal: new AbortController().signal,
		environment: {},
		out: process.stdout,
		err: process.stderr,
	};
	return command.run(argv, surroundings);
};

test('what is not an ISO is not booted, and nothing is made beside it', t =>
	withFolder(tmpdir(), async folder => {
		await mkdir(join(folder, 'place.iso'));
		await writeFile(join(folder, 'text.iso'), 'text'.repeat(10_000));
		await writeFile(join(folder, 'empty.iso'), '');
		const names = await readdir(folder);
		for (const [name, message] of [
			['place.iso', /is not a file/],
			['text.iso', /is not an ISO/],
			['empty.iso', /is not an ISO/],
			['none.iso', /there is no .*none\.iso; make it with build-iso/],
		] as const)
			await t.throwsAsync(call(boot, join(folder, name)), {instanceOf: UsageError, message});
		t.deepEqual(await readdir(folder), names);
	}));

test('seed asks which domain, and says which there are', async t => {
	const profile = join(packageFolder, 'builder/render/golden/homelab.yaml');
	const asked = await t.throwsAsync(call(seed, '--profile', profile), {instanceOf: UsageError});
	t.regex(asked?.message ?? '', /^which domain\? Say --domain NAME; it has: \S+/);
	await t.throwsAsync(call(seed, '--profile', profile, '--domain', 'nope'), {
		instanceOf: UsageError,
		message: /has no domain "nope".*; it has: /,
	});
});

test('the words of serve are checked before anything is started', async t => {
	const common = ['--interface', 'none0', '--machines', 'none.yaml'];
	for (const [words, message] of [
		[['--lease-range', 'a,b', 'tree'], /--lease-range is two IPv4 addresses/],
		[['--port', '0', 'tree'], /--port/],
		[['--grant', 'x', 'tree'], /--grant is a number of minutes/],
		[['--open', '0', 'tree'], /--open is a number of days/],
		[[], /which trees/],
	] as const)
		await t.throwsAsync(call(serveCommand, ...common, ...words), {instanceOf: UsageError, message});
});

test('what machines were told by an earlier bringup is taken along: else they would be installed anew', t =>
	withFolder(tmpdir(), async folder => {
		const environment = {XDG_DATA_HOME: join(folder, 'data'), XDG_STATE_HOME: join(folder, 'state')};
		const before = join(folder, 'data/bringup/serve');
		const state = join(folder, 'state/bringup/serve');
		t.is(await findState(environment), state);
		await mkdir(before, {recursive: true});
		await writeFile(join(before, 'web-1.json'), '{}');
		t.is(await findState(environment), state);
		t.deepEqual([await readdir(state), await readdir(join(before, '..'))], [['web-1.json'], []]);
		await mkdir(before);
		t.is(await findState(environment), state, 'what is newer stays');
		t.deepEqual(await readdir(state), ['web-1.json']);
	}));
