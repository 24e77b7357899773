import {readdirSync, readFileSync} from 'node:fs';
import test from 'ava';
import {clonePath} from './golden.ts';
import {parseMachine, readMachine, readSections} from './machine-json.ts';
import {probeRecord, type RecordedMachine} from './record.ts';

const golden = 'builder/render/golden';
const profiles = readdirSync(golden, {withFileTypes: true}).filter(entry => entry.isDirectory());
const read = (name: string) =>
	readFileSync(`${golden}/${name}/config/includes.chroot/etc/bringup/machine.json`, 'utf8');
const node = JSON.parse(read('node'));
const path = '/etc/bringup/machine.json';
const machineOf = (text: string, more: Record<string, string> = {}) =>
	readMachine(probeRecord({commands: {}, files: {[path]: text, ...more}}));

test('the machine takes what the builder gives it, of every shipped profile', t => {
	t.true(profiles.length > 5);
	for (const {name} of profiles) t.notThrows(() => parseMachine(read(name)), name);
	const record = JSON.parse(readFileSync('firstboot/machines/provisioned.json', 'utf8')) as RecordedMachine;
	t.notThrows(() => parseMachine(record.files[path] ?? ''));
});

test('a clone of an image is what its seed makes of it', async t => {
	const patch = {kubernetes: {role: 'agent', cluster: 'home', server: 'https://192.0.2.1:6443'}};
	const machine = await machineOf(read('k3s-agent-vm'), {[clonePath]: JSON.stringify(patch)});
	t.is(machine.kubernetes?.cluster, 'home');
	await t.throwsAsync(machineOf(read('k3s-agent-vm'), {[clonePath]: '{'}), {message: /clone\.json.*is no JSON/});
});

const edits: [title: string, edit: (machine: typeof node) => unknown, message: RegExp][] = [
	[
		'a field that is none',
		machine => Object.assign(machine.identity, {hostnam: 'x'}),
		/^identity\.hostnam: there is no such field$/m,
	],
	[
		'a value of another kind',
		machine => Object.assign(machine.network, {management: 7}),
		/^network\.management: expected text, found number 7$/m,
	],
	[
		'a field that is gone',
		machine => delete machine.identity.users[0].sshKeys,
		/^identity\.users\[0\]\.sshKeys: is missing; expected/m,
	],
	[
		'a user twice',
		machine => machine.identity.users.push(machine.identity.users[0]),
		/^identity\.users\[\d\]\.name: the user .* is here twice$/m,
	],
	[
		'a firewall that lets nobody in over SSH',
		machine => Object.assign(machine.firewall, {allow: {}}),
		/^firewall: nobody could reach the machine over SSH/m,
	],
];

for (const [title, edit, message] of edits)
	test(`${title} is refused before anything is changed, with its place and the remedy`, async t => {
		const machine = structuredClone(node);
		edit(machine);
		const error = await t.throwsAsync(machineOf(JSON.stringify(machine)), {message});
		t.regex(
			error?.message ?? '',
			/machine\.json has (a fault|\d faults); nothing was changed\n[\s\S]*mend it there, and in the profile/,
		);
	});

test('K3s, which runs already, starts though another section has a fault that only a fact sees', async t => {
	const machine = structuredClone(node);
	machine.firewall.allow = {};
	const probe = probeRecord({commands: {}, files: {[path]: JSON.stringify(machine)}});
	t.truthy((await readSections(probe)).kubernetes);
	await t.throwsAsync(readMachine(probe));
});

test('a file that is cut short says so', async t => {
	await t.throwsAsync(machineOf('{"schema": 1,'), {message: /machine\.json is no JSON: /});
	await t.throwsAsync(readMachine(probeRecord({commands: {}, files: {}})), {message: /is missing: this machine/});
});
