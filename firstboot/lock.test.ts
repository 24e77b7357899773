import {mkdtemp, rm, stat} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import test from 'ava';
import {apply} from './apply.ts';
import {takeLock, takeLockNow} from './lock.ts';

async function inFolder(use: (path: string) => Promise<void>): Promise<void> {
	const folder = await mkdtemp(join(tmpdir(), 'bringup-lock-'));
	try {
		await use(join(folder, 'run', 'lock'));
	} finally {
		await rm(folder, {recursive: true});
	}
}

test('a second run is told who changes the machine, waits, and does nothing when that goes on', t =>
	inFolder(async path => {
		const said: string[] = [];
		const options = {patience: 1, say: (line: string) => said.push(line), path};
		await takeLock('install', options);
		t.is((await stat(path)).mode & 0o777, 0o600);
		await t.throwsAsync(takeLock('provision', options), {
			message: new RegExp(
				`bringup install \\(process ${process.pid}, since .*\\) is changing this machine; nothing was done`,
			),
		});
		t.is(said.length, 1);
		t.regex(said[0] ?? '', /waiting for bringup install/);
	}));

test('a run that was killed holds nothing', t =>
	inFolder(async path => {
		const code = `
			import(${JSON.stringify(new URL('lock.js', import.meta.url))})
				.then(({takeLockNow}) => takeLockNow('provision', ${JSON.stringify(path)}))
				.then(() => setInterval(() => {}, 1000));`;
		const command = [process.execPath, '-e', code] as const;
		const end = apply({do: 'run', command, why: 'hold it', seconds: 8}, () => {}).catch(() => {});
		for (let tries = 0; tries < 200 && (await stat(path).catch(() => ({size: 0}))).size === 0; tries++) await sleep(50);
		t.false(await takeLockNow('provision', path));
		await end;
		t.true(await takeLockNow('provision', path));
	}));
