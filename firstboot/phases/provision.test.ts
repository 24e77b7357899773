import {readFileSync} from 'node:fs';
import test from 'ava';
import {mountsOf} from '../folders.test.machine.ts';
import {listLinks, networkSchema} from '../links.ts';
import {resolveHostname} from '../names.ts';
import type {Probe, Step} from '../phase.ts';
import {probeRecord, type RecordedMachine} from '../record.ts';
import {recoveryPath} from '../recovery.ts';
import {machineSchema, planSequence, sequences} from '../sequence.ts';
import {finishedPath} from '../trial.ts';
import {identitySchema} from '../users.ts';
import {identity} from './identity.ts';
import {network} from './network.ts';
import {link, name} from './preflight.ts';

const read = (name: string) => JSON.parse(readFileSync(`firstboot/machines/${name}.json`, 'utf8')) as RecordedMachine;
const blank = read('blank');
const provisioned = read('provisioned');

function machine(
	base: RecordedMachine,
	commands: Record<string, unknown> = {},
	files: Record<string, string | undefined> = {},
): Probe {
	const merged = Object.entries({...base.files, ...files}).filter(
		(entry): entry is [string, string] => entry[1] !== undefined,
	);
	return probeRecord({commands: {...base.commands, ...commands}, files: Object.fromEntries(merged)});
}

const {identity: own, network: ownNetwork} = JSON.parse(provisioned.files['/etc/bringup/machine.json'] ?? '{}');
const person = identitySchema.parse(own);
const whole = networkSchema.parse(ownNetwork);
const net = networkSchema.parse({...ownNetwork, links: {mgmt: {}}, bridges: {}, vlans: {}});
/** Before its first boot has come to its end. */
const unfinished = {[finishedPath]: undefined};
const whys = (steps: readonly Step[]) => steps.map(({why}) => why);

test('a machine recorded after its first boot needs nothing, in any phase', async t => {
	const config = machineSchema.parse(JSON.parse(provisioned.files['/etc/bringup/machine.json'] ?? '{}'));
	// A record holds no secret, so what needs one is left out.
	for (const user of Object.values(config.containers?.users ?? {})) user.secrets = {};
	const plans = await planSequence(sequences.provision, config, machine(provisioned, {}, {[recoveryPath]: '(hash)\n'}));
	t.deepEqual(
		plans.filter(({steps}) => steps.length > 0),
		[],
	);
	t.true(plans.length >= 12);
});

test('a power cut that left an empty host key: it is removed and made again', async t => {
	const steps = await identity.plan(person, machine(provisioned, {}, {'/etc/ssh/ssh_host_rsa_key': ''}));
	t.deepEqual(whys(steps), ['remove the damaged rsa host key', 'make the SSH host keys', 'make it durable']);
});

test('a power cut inside useradd: the account is completed', async t => {
	const steps = await identity.plan(
		person,
		machine(
			provisioned,
			{},
			{...unfinished, '/home/': '', '/etc/shadow': 'root:*:1::::::\n', '/etc/group': 'root:x:0:\nsudo:x:27:\n'},
		),
	);
	t.deepEqual(whys(steps).slice(0, 4), [
		'complete the group of admin',
		'complete the account of admin',
		'make the home of admin',
		'put admin into sudo',
	]);
});

test('a user who is there keeps what the profile does not name', async t => {
	const more = {'/etc/group': `${provisioned.files['/etc/group']}docker:x:999:admin\n`};
	t.deepEqual(await identity.plan(person, machine(provisioned, {}, more)), []);
});

test('a password goes to the program by standard input, as a hash, and into no text', async t => {
	const hash = '$y$j9T$abcdefgh$0123456789012345678901234567890123456789012';
	const [user] = person.users;
	const config = {...person, users: [{...user, password: {secret: {env: 'ADMIN'}}}]} as typeof person;
	const steps = await identity.plan(
		config,
		machine(provisioned, {}, {...unfinished, '/etc/bringup/secrets/env-ADMIN': `${hash}\n`}),
	);
	const step = steps.find(step => step.do === 'run' && step.command[0] === 'chpasswd');
	t.is(step?.do === 'run' ? step.stdin : '', `admin:${hash}\n`);
	t.false(JSON.stringify(steps.map(step => ({...step, stdin: undefined}))).includes(hash));
});

test('a machine-id that is only in memory is written to disk', async t => {
	const probe = machine(provisioned, {}, mountsOf('/', '/etc/machine-id'));
	t.deepEqual(whys(await identity.plan(person, probe)), ["write the machine's identifier to disk", 'make it durable']);
});

test('a host name is made from the serial number or a MAC address', async t => {
	t.is(await resolveHostname('node-{serial}', machine(blank)), 'node-bu-0001');
	t.is(await resolveHostname('node-{mac}', machine(blank)), 'node-525400627501');
});

test('a board without a serial number is told apart from one with', async t => {
	const probe = machine(blank, {}, {'/sys/class/dmi/id/product_serial': 'To be filled by O.E.M.\n'});
	await t.throwsAsync(resolveHostname('node-{serial}', probe), {message: /has no serial number.*use \{mac\}/});
});

const card = {ifname: 'enp2s0', link_type: 'ether', address: '00:00:5e:00:53:01'};
const links = (...more: object[]) => ({
	[listLinks.join(' ')]: [...(blank.commands[listLinks.join(' ')] as object[]), ...more],
});

test('a name once given stays when a card is added', async t => {
	const probe = machine(blank, links(card), {'/etc/hostname': 'node-525400627501\n'});
	t.is(await resolveHostname('node-{mac}', probe), 'node-525400627501');
});

test('a bridge, a VLAN and a radio are no management link', async t => {
	const others = [
		{ifname: 'br0', link_type: 'ether', address: '52:54:00:62:75:01', linkinfo: {info_kind: 'bridge'}},
		{ifname: 'wlp3s0', link_type: 'ether', address: '00:00:5e:00:53:02'},
	];
	const probe = machine(blank, links(...others), {'/sys/class/net/wlp3s0/uevent': 'DEVTYPE=wlan\nINTERFACE=wlp3s0\n'});
	t.deepEqual(await link.plan(net, probe), []);
});

test('a name of Debian, a group that nobody makes, a zone that is none: told before anything is erased', async t => {
	const [user] = person.users;
	const refused: [changes: object, message: RegExp][] = [
		[{users: [{...user, name: 'root'}]}, /root is a name of Debian's own/],
		[{users: [{...user, name: 'sudo'}]}, /sudo is a name of Debian's own/],
		[{users: [{...user, groups: ['docker']}]}, /docker, which no package of the image makes/],
		[{timezone: 'Mars/Base'}, /no time zone Mars\/Base/],
	];
	for (const [changes, message] of refused)
		await t.throwsAsync(name.plan({...person, ...changes}, machine(blank)), {message});
	t.deepEqual(await name.plan(person, machine(blank)), []);
});

test('a card that is added does not take the management link away', async t => {
	const links = [...(provisioned.commands['ip -json -details link show'] as object[]), card];
	t.deepEqual(await network.plan(whole, machine(provisioned, {'ip -json -details link show': links})), []);
});
