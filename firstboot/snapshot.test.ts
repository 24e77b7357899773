import {readFileSync} from 'node:fs';
import {mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {build} from 'esbuild';
import {machineProbe} from './apply.ts';
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

test('what a run has asked and checked can be kept by Node.js, facts of the profile too', async t => {
	const folder = await mkdtemp(join(tmpdir(), 'bringup-snapshot-'));
	try {
		const source = `
			import {checkFacts} from './dist/firstboot/facts/facts.js';
			import {probeRecord} from './dist/firstboot/record.js';
			import {subnetHolds} from './dist/firstboot/subnets.js';
			import {learn} from './dist/firstboot/snapshot.js';
			import {startupSnapshot} from 'node:v8';
			const {given, record} = ${JSON.stringify({given, record})};
			const main = known => process.stdout.write(String(known.questions.length));
			const key = 'ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBH/Nzid9qsRdQYPL7m/bS3tYBzM1e+nvE7rPbjx70VRFx/xEzRu9m36HLN/tue659LNpXW6pCyStikYjKIWI5a0=';
			const {identity} = given.machine;
			const users = [...identity.users, {...identity.users[0], name: 'other', sshKeys: [key]}];
			checkFacts({...given.machine, identity: {...identity, users}});
			for (const last of [1, 2, 3]) subnetHolds('192.0.2.0/24', '192.0.2.' + last);
			learn(given, probeRecord(record)).then(known => startupSnapshot.setDeserializeMainFunction(main, known));
		`;
		const {outputFiles} = await build({
			stdin: {contents: source, resolveDir: process.cwd()},
			...({bundle: true, platform: 'node', format: 'cjs', write: false, logLevel: 'silent'} as const),
		});
		await writeFile(join(folder, 'main.cjs'), outputFiles[0]?.text ?? '');
		// As templates/**/bringup-snapshot.service has it, and /usr/bin/bringup.
		const node: Command = [process.execPath, '--regexp-interpret-all', '--snapshot-blob', join(folder, 'blob')];
		await machineProbe.output([...node, '--build-snapshot', join(folder, 'main.cjs')]);
		t.true(Number(await machineProbe.output(node)) > 3);
	} finally {
		await rm(folder, {recursive: true});
	}
});
