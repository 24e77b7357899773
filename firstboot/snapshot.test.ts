import {readFileSync} from 'node:fs';
import test from 'ava';
import type {Command} from './phase.ts';
import {probeRecord, type RecordedMachine} from './record.ts';
import {recoveryPath} from './recovery.ts';
import {type Machine, machineSchema} from './sequence.ts';
import {learn, recall} from './snapshot.ts';

const recorded = JSON.parse(readFileSync('firstboot/machines/provisioned.json', 'utf8')) as RecordedMachine;
const record: RecordedMachine = {...recorded, files: {...recorded.files, [recoveryPath]: '(hash)\n'}};
const text = record.files['/etc/bringup/machine.json'] ?? '';
const machine: Machine = machineSchema.parse(JSON.parse(text));
for (const user of Object.values(machine.containers?.users ?? {})) user.secrets = {}; // a record holds none
const given = {text, stamp: '', machine};
const probe = probeRecord(record);

/** The recorded machine, which keeps what it was asked. */
function listen() {
	const asked: Command[] = [];
	const output = (command: Command) => {
		asked.push(command);
		return probe.output(command);
	};
	return {asked, probe: {...probe, output}};
}

test('what a run with nothing to do asks is asked again, all at once, and nothing is asked twice', async t => {
	const known = await learn(given, probe);
	if (known === undefined) return t.fail();
	t.true(known.questions.length > 3);
	const machine = listen();
	t.truthy(await recall(known, machine.probe));
	t.deepEqual(machine.asked, known.questions);
});

test('a machine that has something left to do is nothing to start from', async t => {
	const files = {...record.files, '/etc/default/locale': ''};
	t.is(await learn(given, probeRecord({...record, files})), undefined);
	const known = await learn(given, probe);
	if (known === undefined) return t.fail();
	t.is(await recall(known, probeRecord({...record, files})), undefined);
});

test('a question that is not known is asked, and one that fails fails only who asks it', async t => {
	const known = await learn(given, probe);
	if (known === undefined) return t.fail();
	const [first, ...questions] = known.questions;
	const mute = ['false'] as const;
	const {asked, probe: listening} = listen();
	const output = (command: Command) =>
		command === mute ? Promise.reject(new Error('exit 1')) : listening.output(command);
	t.truthy(await recall({...known, questions: [mute, ...questions]}, {...probe, output}));
	t.deepEqual(asked, [...questions, ...(first ? [first] : [])]);
	const dead = {...probe, output: () => Promise.reject(new Error('exit 2'))};
	await t.throwsAsync(recall({...known, questions: [mute]}, dead), {message: 'exit 2'});
});

test('who plans again comes to the same, whatever changed since', async t => {
	const known = await learn(given, probe);
	if (known === undefined) return t.fail();
	const files = {...record.files};
	const recalled = await recall(known, probeRecord({...record, files}));
	for (const path of Object.keys(files)) delete files[path];
	t.is(await recalled?.probe.read('/etc/default/locale'), record.files['/etc/default/locale']);
	t.truthy(await recalled?.probe.list('/etc'));
});
