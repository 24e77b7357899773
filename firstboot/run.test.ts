import test from 'ava';
import * as z from 'zod';
import {GivenUp, type Phase, type Step} from './phase.ts';
import {probeRecord} from './record.ts';
import {converge, type Door} from './run.ts';
import type {Entry, Machine} from './sequence.ts';
import {formatFailure, formatSummary, Status, type StatusRecord} from './status.ts';

const machine: Machine = {schema: 1, profile: 'test', network: {} as never};

/** A phase that wants so many files written on a machine of its own. */
function phaseOf(left: string[]): Phase {
	const plan = async (): Promise<Step[]> =>
		left.map(name => ({do: 'write', path: name, content: '', mode: 0o644, why: `write ${name}`}));
	return {schema: z.unknown(), packages: [], plan};
}

function setUp(phases: Record<string, Phase>, apply: (step: Step) => Promise<void>) {
	const entries = Object.entries(phases).map(([name, phase]): Entry => ({name, section: 'network', phase}));
	const said: string[] = [];
	const saved: StatusRecord[] = [];
	const begin = {sequence: 'provision', profile: 'test', buildId: '1', phases: entries.map(({name}) => name)};
	const status = new Status(
		begin,
		line => said.push(line),
		async record => void saved.push(structuredClone(record)),
	);
	const door: Door = {probe: probeRecord({commands: {}, files: {}}), apply};
	return {entries, said, saved, status, door};
}

test('a phase is planned again until nothing is left', async t => {
	const left = ['/a', '/b'];
	const {entries, said, status, door} = setUp({one: phaseOf(left)}, async step => {
		left.splice(left.indexOf(step.do === 'write' ? step.path : ''), 1);
	});
	t.true((await converge(entries, machine, door, status)).done);
	t.deepEqual(said.slice(0, 2), ['phase one (1/1): write /a', 'phase one (1/1): write /b']);
	t.regex(said[2] ?? '', /^phase one \(1\/1\): done in [\d.]+ s$/);
});

test('a phase with nothing to do says so', async t => {
	const {entries, said, status, door} = setUp({one: phaseOf([])}, async () => t.fail());
	t.true((await converge(entries, machine, door, status)).done);
	t.deepEqual(said, ['phase one (1/1): nothing to do']);
});

test('a plan that does not get smaller is a failure that names what is left, and later phases are left too', async t => {
	const {entries, saved, status, door} = setUp({one: phaseOf(['/a']), two: phaseOf([])}, async () => {});
	t.false((await converge(entries, machine, door, status)).done);
	await status.finish('failed', {});
	t.is(saved.at(-1)?.failure?.message, 'does not converge; left to do: write /a');
	t.regex(formatSummary(status.record), /failed in one, left one, two/);
	t.regex(formatFailure(status.record).join('\n'), /FAILED in phase one, at: write \/a/);
});

test('a section that the profile lacks skips its phase', async t => {
	const {entries, said, status, door} = setUp({one: phaseOf(['/a'])}, async () => t.fail());
	t.true((await converge(entries, {schema: 1, profile: 'test'}, door, status)).done);
	t.regex(said[0] ?? '', /skipped/);
});

test('a reboot ends the sequence, and is left to the caller', async t => {
	const steps: Step[] = [{do: 'reboot', why: 'boot the disk'}];
	const reboot: Phase = {schema: z.unknown(), packages: [], plan: async () => steps};
	const {entries, said, status, door} = setUp({one: reboot, two: phaseOf(['/never'])}, async () => t.fail());
	t.deepEqual(await converge(entries, machine, door, status), {done: true, reboot: steps[0]});
	t.is(said[0], 'phase one (1/2): boot the disk');
});

test('a phase that leaves the old state in force holds no other phase back, and the run has still failed', async t => {
	const plan = () => Promise.reject(new GivenUp('this network was tried and taken back'));
	const givenUp: Phase = {schema: z.unknown(), packages: [], plan};
	const left = ['/a'];
	const {entries, said, status, door} = setUp({one: givenUp, two: phaseOf(left)}, async () => void left.pop());
	t.deepEqual(await converge(entries, machine, door, status), {done: false});
	t.true(said.includes('phase two (2/2): write /a'));
	t.is(status.record.failure?.phase, 'one');
});
