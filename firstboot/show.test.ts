import test from 'ava';
import {probeRecord} from './record.ts';
import {findEnd} from './show.ts';
import {bootIdPath, formatStatus, type StatusRecord} from './status.ts';

const record: StatusRecord = {
	schema: 1,
	sequence: 'provision',
	profile: 'node',
	buildId: '1',
	state: 'running',
	startedAt: '2026-01-01T00:00:00.000Z',
	process: {pid: 812, boot: 'this-boot'},
	phases: [
		{name: 'identity', state: 'done', steps: ['name the machine'], seconds: 1},
		{name: 'network', state: 'running', steps: ['write a file'], seconds: 0},
	],
	addresses: {},
	failures: [],
};

const ask = (boot: string, files: Record<string, string>) =>
	findEnd(record, probeRecord({commands: {}, files: {[bootIdPath]: `${boot}\n`, ...files}}));

const program = {'/proc/812/cmdline': '/usr/bin/node\0/usr/lib/bringup/firstboot.cjs\0provision\0'};

test('a run whose process is there runs', async t => {
	t.is((await ask('this-boot', program)).state, 'running');
});

test('a run that was killed, or that a power cut ended, does not stay running for ever', async t => {
	const others: [boot: string, files: Record<string, string>][] = [
		['this-boot', {}],
		['this-boot', {'/proc/812/cmdline': 'sshd\0'}],
		['next-boot', program],
	];
	for (const [boot, files] of others) {
		const found = await ask(boot, files);
		t.is(found.state, 'failed');
		const text = formatStatus(found).join('\n');
		t.regex(text, /provision failed; did identity \(1\); left network/);
		t.regex(text, /FAILED in phase network\n {2}it was killed, or the power was cut/);
	}
});
