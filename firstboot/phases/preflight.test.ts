import {readFileSync} from 'node:fs';
import test from 'ava';
import {foldersOf} from '../folders.test.machine.ts';
import {chooseLinks, type IpLink, listLinks, type Network, networkSchema, settledPath} from '../links.ts';
import {networkFolder} from '../networkd.ts';
import type {Step} from '../phase.ts';
import {probeRecord, type RecordedMachine} from '../record.ts';
import {network} from './network.ts';
import {link} from './preflight.ts';

const blank = JSON.parse(readFileSync('firstboot/machines/blank.json', 'utf8')) as RecordedMachine;
const [lo] = blank.commands[listLinks.join(' ')] as IpLink[];
const mac = '52:54:00:62:75:01';
const config = networkSchema.parse({links: {mgmt: {}}, bridges: {br0: {ports: {mgmt: {}}, addresses: 'dhcp'}}});

const whys = (steps: readonly Step[]) => steps.map(({why}) => why);
const writes = (steps: readonly Step[]) =>
	Object.fromEntries(steps.flatMap(step => (step.do === 'write' ? [[step.path, step.content]] : [])));
const card = (ifname: string, address: string, flags: string[], more = {}): IpLink => {
	return {ifname, link_type: 'ether', address, flags, ...more};
};

/** A blank machine with these links and files. */
const machine = (links: readonly object[], files: Record<string, string> = {}) =>
	probeRecord({
		commands: {...blank.commands, [listLinks.join(' ')]: [lo, ...links]},
		files: {...blank.files, ...files},
	});

const second = '00:00:5e:00:53:01';
const settled = {[settledPath]: `${second}\n${mac}\n`};
const pair = (one: string[], two: string[]) => [card('enp1s0', mac, one), card('enp2s0', second, two)];

/** What the phases take for the link, from one state of the cables to the next. */
async function choose(states: readonly object[][]): Promise<string> {
	let files = {};
	for (const state of states) {
		const steps = await link.plan(config, machine(state, files)).catch((error: Error) => error);
		if (steps instanceof Error) return 'refused';
		if (steps.length === 0) {
			const named = writes(await network.plan(config, machine(state, files)));
			return /PermanentMACAddress=(.*)/.exec(named[`${networkFolder}/10-bringup-mgmt.link`] ?? '')?.[1] ?? '';
		}
		files = writes(steps);
	}
	return 'still asking';
}

test('of several wired links the only one with a cable is taken, when all had their time', async t => {
	const steps = await link.plan(config, machine(pair(['BROADCAST'], ['BROADCAST'])));
	t.deepEqual(whys(steps), [
		'take enp2s0 up to see whether it has a cable',
		'take enp1s0 up to see whether it has a cable',
		'wait for the first link with a cable',
		'let the other links find theirs',
		'note that the links have settled',
	]);
	const cabled = pair(['UP', 'LOWER_UP'], ['UP']);
	t.deepEqual(await link.plan(config, machine(cabled, settled)), []);
	await t.throwsAsync(network.plan(config, machine(cabled)), {message: /not known yet/});
});

test('one machine has one answer, however its cables come up', async t => {
	const [none, one, both] = [
		pair(['UP'], ['UP']),
		pair(['UP', 'LOWER_UP'], ['UP']),
		pair(['UP', 'LOWER_UP'], ['UP', 'LOWER_UP']),
	];
	for (const before of [none, one, both]) {
		t.is(await choose([before, both]), 'refused');
		t.is(await choose([before, one]), mac);
	}
	const late = [...one, card('enp3s0', '00:00:5e:00:53:02', ['UP', 'LOWER_UP'])];
	t.is(await choose([one, late, late]), 'refused', 'a third one came late, and had its time too');
});

const usb =
	'/sys/class/net/enx020000000003\tl\t0\t0\t0\t../../devices/pci0000:00/0000:00:14.0/usb2/2-3/2-3:2.0/net/enx020000000003';
const board = '/sys/class/net/eno1\tl\t0\t0\t0\t../../devices/pci0000:00/0000:00:1c.0/0000:02:00.0/net/eno1';
const bmc = card('enx020000000003', '02:00:00:00:00:03', ['UP', 'LOWER_UP']);

test('a link on USB, such as that of a BMC, is taken only where it is named or alone', async t => {
	const at = (config: Network, ...cards: IpLink[]) =>
		chooseLinks(
			config,
			probeRecord({commands: {[listLinks.join(' ')]: [lo, ...cards]}, files: foldersOf([usb, board])}),
		);
	const eno1 = card('eno1', '02:00:00:00:00:01', ['UP']);
	t.is((await at(config, bmc, eno1)).get('mgmt')?.name, 'eno1');
	t.is((await at(config, bmc)).get('mgmt')?.name, 'enx020000000003');
	const path = 'pci-0000:00:14.0-usb-0:3:2.0';
	const named = networkSchema.parse({...config, links: {mgmt: {path}}});
	t.is((await at(named, bmc, eno1)).get('mgmt')?.name, 'enx020000000003', 'as udev has its ID_PATH');
});

test('a link and the virtual function below it are one', async t => {
	const cards = [card('eth0', mac, ['UP', 'LOWER_UP']), card('enP1s1', mac, ['UP', 'LOWER_UP'], {master: 'eth0'})];
	const named = networkSchema.parse({...config, links: {mgmt: {mac}}});
	t.is((await chooseLinks(named, machine(cards))).get('mgmt')?.name, 'eth0');
});

test('two wired links with a cable and no name for one: it stops, shows both, and names each by what no other has', async t => {
	const both = pair(['UP', 'LOWER_UP'], ['UP', 'LOWER_UP']);
	const error = await t.throwsAsync(link.plan(config, machine(both, settled)), {
		message: /2 match[\s\S]*enp2s0 {2}00:00:5e:00:53:01 {4}cable[\s\S]*enp1s0[\s\S]*links: \{mgmt: \{mac:/,
	});
	t.is(error?.message.match(/links: \{mgmt:/g)?.length, 2);
	const twins = [card('ens1', mac, ['UP', 'LOWER_UP']), card('ens2', mac, ['UP', 'LOWER_UP'])];
	const lost = await t.throwsAsync(link.plan(config, machine(twins, {[settledPath]: `${mac}\n${mac}\n`})));
	t.regex(lost?.message ?? '', /no two of them differ in mac or path/);
	const named = networkSchema.parse({...config, links: {mgmt: {mac: '00:00:5E:00:53:01'}}});
	t.deepEqual(await link.plan(named, machine(both)), []);
	const placed = networkSchema.parse({...config, links: {mgmt: {path: 'pci-0000:00:03.0'}}});
	const steps = await network.plan(placed, machine(both));
	t.regex(writes(steps)[`${networkFolder}/10-bringup-mgmt.link`] ?? '', /Path=pci-0000:00:03\.0/);
});
