import test from 'ava';
import {CommandError} from './apply.ts';
import {AwayError} from './fetch.ts';
import {GivenUp, type Phase, planParts, type Step} from './phase.ts';
import {probeRecord} from './record.ts';
import {converge, type Door} from './run.ts';
import type {Entry, Machine} from './sequence.ts';
import {formatStatus, formatSummary, Status, type StatusRecord} from './status.ts';

const machine: Machine = {schema: 1, profile: 'test', network: {} as never};

/** A phase that wants so many files written on a machine of its own. */
function phaseOf(left: string[]): Phase {
	const plan = async (): Promise<Step[]> =>
		left.map(name => ({do: 'write', path: name, content: '', mode: 0o644, why: `write ${name}`}));
	return {packages: [], plan};
}

function setUp(phases: Record<string, Phase>, apply: (step: Step) => Promise<void>) {
	const entries = Object.entries(phases).map(([name, phase]): Entry => ({name, section: 'network', phase, after: []}));
	const said: string[] = [];
	const saved: StatusRecord[] = [];
	const begin = {
		sequence: 'provision',
		profile: 'test',
		buildId: '1',
		process: {pid: 1, boot: 'b'},
		phases: entries.map(({name}) => name),
	};
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

test('a plan that comes again is a failure that names what is left, and a phase that does not depend on it goes on', async t => {
	const {entries, saved, status, door} = setUp({one: phaseOf(['/a']), two: phaseOf([])}, async () => {});
	t.false((await converge(entries, machine, door, status)).done);
	await status.finish('failed', {});
	t.is(saved.at(-1)?.failures[0]?.message, 'does not converge; left to do: write /a');
	t.is(formatSummary(status.record), 'bringup: provision failed; nothing to do; failed in one');
	t.regex(formatStatus(status.record).join('\n'), /FAILED in phase one, at: write \/a/);
});

test('a later plan may be as long as the one before, or longer, but it is made ten times at most', async t => {
	const plans = [['/a'], ['/b'], ['/c', '/d'], []];
	let round = 0;
	const plan = async (): Promise<Step[]> =>
		(plans[round] ?? [`/${round}`]).map(path => ({do: 'write', path, content: '', mode: 0o644, why: `write ${path}`}));
	const grows: Phase = {packages: [], plan};
	const apply = async (step: Step) => {
		if (step.do === 'write' && step.path !== '/c') round++;
	};
	const first = setUp({one: grows}, apply);
	t.true((await converge(first.entries, machine, first.door, first.status)).done);
	round = plans.length;
	const second = setUp({one: grows}, apply);
	t.false((await converge(second.entries, machine, second.door, second.status)).done);
	t.regex(second.status.record.failures[0]?.message ?? '', /does not converge/);
	t.is(round, plans.length + 10);
});

test('what depends on a failed phase is held back, and all failures are told', async t => {
	const fails = (message: string): Phase => ({...phaseOf([]), plan: () => Promise.reject(new Error(message))});
	const set = setUp(
		{one: fails('no cable'), two: phaseOf([]), three: phaseOf([]), four: fails('no disk')},
		async () => {},
	);
	const after: Record<string, string[]> = {two: ['one'], three: ['two']};
	const entries = set.entries.map(entry => ({...entry, after: after[entry.name] ?? []}));
	t.false((await converge(entries, machine, set.door, set.status)).done);
	await set.status.finish('failed', {});
	t.deepEqual(
		set.status.record.phases.map(({state, heldBy}) => [state, heldBy]),
		[
			['failed', undefined],
			['held', ['one']],
			['held', ['one']],
			['failed', undefined],
		],
	);
	const text = formatStatus(set.status.record).join('\n');
	t.regex(text, /failed in one, four; held back two, three/);
	t.regex(
		text,
		/two: held back by one[\s\S]*FAILED in phase one\n {2}no cable[\s\S]*FAILED in phase four\n {2}no disk/,
	);
	t.is(text.match(/systemctl restart bringup/g)?.length, 1);
});

test('a step that fails takes with it what it makes, and nothing else of its phase', async t => {
	const left: Record<string, string[]> = {bad: ['/bad/1', '/bad/2'], good: ['/good/1', '/good/2']};
	const plan = () =>
		planParts(['bad', 'good'], name =>
			phaseOf(left[name] ?? []).plan(undefined, probeRecord({commands: {}, files: {}})),
		);
	const done: string[] = [];
	const {entries, said, status, door} = setUp({one: {...phaseOf([]), plan}}, async step => {
		const path = step.do === 'write' ? step.path : '';
		if (path.startsWith('/bad'))
			throw new CommandError(['mkfs.ext4', '/dev/sdx1'], 'exited with 1', 'Input/output error');
		done.push(path);
		left['good'] = (left['good'] ?? []).filter(other => other !== path);
	});
	t.false((await converge(entries, machine, door, status)).done);
	t.deepEqual(done, ['/good/1', '/good/2']);
	t.false(
		said.some(line => line.includes('/bad/2')),
		'what stands on it is not tried',
	);
	const text = said.join('\n');
	t.regex(
		text,
		/FAILED in phase one, at: write \/bad\/1\n {2}mkfs\.ext4 exited with 1\n {2}command: mkfs\.ext4 \/dev\/sdx1\n {4}Input\/output error/,
	);
});

test('where a server is away, the run says that it is tried again', async t => {
	const away: Phase = {
		...phaseOf([]),
		plan: () => Promise.reject(new AwayError('http://192.0.2.1/a could not be fetched')),
	};
	const {entries, status, door} = setUp({one: away}, async () => {});
	t.false((await converge(entries, machine, door, status)).done);
	t.true(status.record.failures[0]?.passing);
	t.regex(formatStatus(status.record).join('\n'), /tried again in 15 minutes \(bringup-again\.timer\)/);
});

test('what a phase cannot plan does not keep it from the rest', async t => {
	const left = ['/good'];
	const plan = (): Promise<Step[]> =>
		planParts(['/bad', '/good'], async name => {
			if (name === '/bad') throw new Error('no such disk');
			return phaseOf(left).plan(undefined, probeRecord({commands: {}, files: {}}));
		});
	const {entries, said, status, door} = setUp({one: {...phaseOf([]), plan}}, async () => void left.pop());
	t.false((await converge(entries, machine, door, status)).done);
	t.deepEqual(left, []);
	t.deepEqual(said.slice(0, 2), ['phase one (1/1): write /good', 'phase one (1/1): FAILED']);
	t.is(status.record.failures[0]?.message, 'no such disk');
});

test('a section that the profile lacks skips its phase', async t => {
	const {entries, said, status, door} = setUp({one: phaseOf(['/a'])}, async () => t.fail());
	t.true((await converge(entries, {schema: 1, profile: 'test'}, door, status)).done);
	t.regex(said[0] ?? '', /skipped/);
});

test('a reboot ends the sequence, and is left to the caller', async t => {
	const steps: Step[] = [{do: 'reboot', why: 'boot the disk'}];
	const reboot: Phase = {packages: [], plan: async () => steps};
	const {entries, said, status, door} = setUp({one: reboot, two: phaseOf(['/never'])}, async () => t.fail());
	t.deepEqual(await converge(entries, machine, door, status), {done: true, reboot: steps[0]});
	t.is(said[0], 'phase one (1/2): boot the disk');
});

test('a phase that leaves the old state in force holds no other phase back, and the run has still failed', async t => {
	const plan = () => Promise.reject(new GivenUp('this network was tried and taken back'));
	const givenUp: Phase = {packages: [], plan};
	const left = ['/a'];
	const {entries, said, status, door} = setUp({one: givenUp, two: phaseOf(left)}, async () => void left.pop());
	t.deepEqual(await converge(entries, machine, door, status), {done: false});
	t.true(said.includes('phase two (2/2): write /a'));
	t.is(status.record.failures[0]?.phase, 'one');
});
