import test from 'ava';
import {hardeningSchema} from '../hardening.ts';
import type {Phase, Step} from '../phase.ts';
import {probeRecord, type RecordedMachine} from '../record.ts';
import {converge} from '../run.ts';
import {type Entry, type Machine, sequences} from '../sequence.ts';
import {Status} from '../status.ts';
import {recovery} from './recovery.ts';

const hash = '$6$0123456789abcdef$abc';

const blank: RecordedMachine = {
	commands: {},
	files: {
		'/etc/passwd': 'root:x:0:0:root:/root:/bin/bash\n',
		'/etc/shadow': 'root:*:1::::::\n',
		'/etc/bringup/secrets/recovery': `${hash}\n`,
	},
};

/** The machine after the steps. */
function perform(machine: RecordedMachine, steps: readonly Step[]): RecordedMachine {
	const files = {...machine.files};
	for (const step of steps) {
		if (step.do === 'write') files[step.path] = step.content;
		if (step.do !== 'run') continue;
		const [program] = step.command;
		if (program === 'useradd') files['/etc/passwd'] += 'recovery:x:998:65534::/:/bin/bash\n';
		if (program === 'useradd' || program === 'pwconv') files['/etc/shadow'] += 'recovery:*:1::::::\n';
		if (program === 'chpasswd')
			files['/etc/shadow'] = files['/etc/shadow']?.replace('recovery:*', `${step.stdin?.trim()}`) ?? '';
	}
	return {...machine, files};
}

const planFor = (given: object, machine: RecordedMachine) =>
	recovery.plan(hardeningSchema.parse(given), probeRecord(machine));
const whys = (steps: readonly Step[]) => steps.map(({why}) => why);

test('cut after any step, the next plan ends in the same account, which needs nothing', async t => {
	const steps = await planFor({}, blank);
	t.true(steps.length > 3);
	for (let cut = 0; cut <= steps.length; cut++) {
		const found = perform(blank, steps.slice(0, cut));
		t.deepEqual(whys(await planFor({}, perform(found, await planFor({}, found)))), [], `cut after step ${cut}`);
	}
});

test('the code goes to the account as a hash, by standard input only', async t => {
	const steps = await planFor({}, blank);
	const step = steps.find(({do: what, ...step}) => what === 'run' && 'stdin' in step);
	t.is(step?.do === 'run' ? step.stdin : '', `recovery:${hash}\n`);
	t.false(JSON.stringify(steps.map(step => ({...step, stdin: undefined}))).includes(hash));
	t.deepEqual(await planFor({recovery: false}, blank), []);
});

test('without the hash in the image nothing is done, and the remedy is told', async t => {
	const {'/etc/bringup/secrets/recovery': _hash, ...files} = blank.files;
	await t.throwsAsync(planFor({}, {...blank, files}), {message: /build the medium again.*recovery: false/});
	t.deepEqual(await planFor({recovery: false}, {...blank, files}), []);
});

test('half an account is completed, and a person of that name is not touched', async t => {
	const half = {...blank.files, '/etc/passwd': 'recovery:x:998:65534::/:/bin/bash\n'};
	t.true(whys(await planFor({}, {...blank, files: half})).includes('complete the account of recovery'));
	const person = {...blank.files, '/etc/passwd': 'recovery:x:1000:1000::/home/recovery:/bin/bash\n'};
	await t.throwsAsync(planFor({}, {...blank, files: person}), {message: /somebody else/});
});

test('where every other phase fails, the account is made', async t => {
	const fails: Phase = {
		packages: [],
		plan: () => Promise.reject(new Error('no cable')),
	};
	const sequence = sequences.provision.map(
		(entry): Entry => (entry.name === 'recovery' ? entry : {...entry, section: 'hardening' as const, phase: fails}),
	);
	const machine: Machine = {schema: 1, profile: 'test', hardening: hardeningSchema.parse({})};
	let found = blank;
	const phases = sequence.map(({name}) => name);
	const status = new Status(
		{sequence: 'provision', profile: 'test', buildId: '1', process: {pid: 1, boot: 'b'}, phases},
		() => {},
		async () => {},
	);
	const probe = {...probeRecord(blank), read: async (path: string) => found.files[path]};
	const apply = async (step: Step) => {
		found = perform(found, [step]);
	};
	const {done} = await converge(sequence, machine, {probe, apply}, status);
	t.false(done);
	t.true(found.files['/etc/shadow']?.includes(`recovery:${hash}:`));
});
