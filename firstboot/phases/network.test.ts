import {readFileSync} from 'node:fs';
import test from 'ava';
import {foldersOf} from '../folders.test.machine.ts';
import {type IpLink, listLinks, networkSchema} from '../links.ts';
import {findManagement} from '../netdev.ts';
import {networkFolder} from '../networkd.ts';
import {GivenUp, listEnabled, listUnits, type Step} from '../phase.ts';
import {probeRecord, type RecordedMachine} from '../record.ts';
import {finishedPath, planRestore, reasonPath, rejectedPath, savedFolder, trialFolder, trialPath} from '../trial.ts';
import {network} from './network.ts';

const blank = JSON.parse(readFileSync('firstboot/machines/blank.json', 'utf8')) as RecordedMachine;
const [lo] = blank.commands[listLinks.join(' ')] as IpLink[];
const mac = '52:54:00:62:75:01';
const archive = '/boot/bringup-links.img';
const config = networkSchema.parse({
	links: {mgmt: {}},
	bridges: {br0: {ports: {mgmt: {tagged: [30]}}, addresses: 'dhcp'}},
	vlans: {iot: {link: 'br0', id: 30, addresses: ['192.0.2.1/24']}},
});

const whys = (steps: readonly Step[]) => steps.map(({why}) => why);
const writes = (steps: readonly Step[]) =>
	Object.fromEntries(steps.flatMap(step => (step.do === 'write' ? [[step.path, step.content]] : [])));
const card = (ifname: string, address: string, flags: string[], more = {}): IpLink => {
	return {ifname, link_type: 'ether', address, flags, ...more};
};

/** A machine with these links and files. */
function machine(links: readonly object[], files: Record<string, string> = {}, commands: Record<string, unknown> = {}) {
	const found = Object.keys(files).filter(path => path.startsWith(networkFolder) || path.startsWith(trialFolder));
	return probeRecord({
		commands: {
			...blank.commands,
			[listLinks.join(' ')]: [lo, ...links],
			...commands,
		},
		files: {...blank.files, ...foldersOf(found), ...files},
	});
}

const enp1s0 = card('enp1s0', mac, ['BROADCAST']);
const files = writes(await network.plan(config, machine([enp1s0])));
const inForce = [
	card('mgmt', mac, ['UP', 'LOWER_UP'], {master: 'br0'}),
	card('br0', mac, ['UP', 'LOWER_UP'], {linkinfo: {info_kind: 'bridge', info_data: {vlan_filtering: 1}}}),
	card('iot', mac, ['UP', 'LOWER_UP'], {linkinfo: {info_kind: 'vlan', info_data: {id: 30}}}),
];
const {[trialPath]: _, ...configured} = files;
const links = Object.entries(files).filter(([path]) => path.endsWith('.link'));
const written = {
	...configured,
	[finishedPath]: '',
	[archive]: `070701 ${links.map(([path, content]) => `${path}\0${content}`).join('')}`,
};
const running = {
	[listUnits.join(' ')]: 'systemd-networkd.service loaded active running Network Configuration\n',
	[listEnabled.join(' ')]: 'systemd-networkd.service\n',
	'ip -json address show': [
		{ifname: 'br0', flags: ['UP', 'LOWER_UP'], addr_info: [{local: '192.0.2.9', prefixlen: 24, scope: 'global'}]},
	],
	'ip -json -4 route show default dev br0': [{gateway: '192.0.2.1'}],
	'ip -json neighbour show dev br0': [{dst: '192.0.2.1', lladdr: mac}],
	'arping -q -f -c 3 -w 3 -I br0 192.0.2.1': '',
};

test('the bridge keeps VLANs apart and has the MAC address of its uplink', t => {
	t.regex(
		files[`${networkFolder}/20-bringup-br0.netdev`] ?? '',
		/MACAddress=52:54:00:62:75:01\n[\s\S]*STP=no\nForwardDelaySec=0\nVLANFiltering=yes/,
	);
	t.regex(
		files[`${networkFolder}/30-bringup-br0.network`] ?? '',
		/RequiredForOnline=routable[\s\S]*DHCP=yes\nVLAN=iot\n[\s\S]*ClientIdentifier=mac[\s\S]*VLAN=1\nPVID=1\nEgressUntagged=1\n[\s\S]*VLAN=30\n/,
	);
	t.regex(
		files[`${networkFolder}/30-bringup-mgmt.network`] ?? '',
		/RequiredForOnline=no[\s\S]*Bridge=br0[\s\S]*\[BridgeVLAN\]\nVLAN=30\n/,
	);
	t.regex(
		files[`${networkFolder}/10-bringup-mgmt.link`] ?? '',
		/PermanentMACAddress=52:54:00:62:75:01\n[\s\S]*Name=mgmt/,
	);
	t.regex(
		files[`${networkFolder}/30-bringup-iot.network`] ?? '',
		/RequiredForOnline=no[\s\S]*Address=192\.0\.2\.1\/24/,
	);
});

test('the link that the machine is reached over is told by its files', t => {
	const named = Object.entries(files).map(
		([path, content]) => [path.slice(networkFolder.length + 1), content] as const,
	);
	t.is(findManagement(new Map(named)), 'br0');
	t.is(findManagement(new Map()), undefined);
});

test('a machine that nobody reaches yet is not on trial', async t => {
	const steps = whys(await network.plan(config, machine([enp1s0])));
	t.true(steps.includes('name enp1s0 (52:54:00:62:75:01) mgmt'));
	t.is(steps.at(-1), 'let GRUB load it');
	t.false(steps.some(why => /timer|prove/.test(why)));
});

test('a machine whose links are in force needs nothing', async t => {
	t.deepEqual(await network.plan(config, machine(inForce, written, running)), []);
});

test('an initramfs without the names of the links gets them', async t => {
	const steps = await network.plan(config, machine(inForce, {...configured, [finishedPath]: ''}, running));
	t.is(whys(steps)[0], 'put the names of the links into the initramfs');
	const more = {...written, [archive]: `${written[archive]}10-bringup-old.link`};
	t.is((await network.plan(config, machine(inForce, more, running))).length, 3);
});

const other = networkSchema.parse({...config, vlans: {iot: {...config.vlans['iot'], id: 31}}});

test('a change on a machine that is reached is on trial: saved and armed first, proven last', async t => {
	const steps = await network.plan(other, machine(inForce, written, running));
	t.deepEqual(whys(steps), [
		'remove what an earlier try left',
		'remember which network is on trial',
		'make room for what is saved',
		'have a folder of the network',
		'save the network that is in force',
		'make it durable',
		'take it as the last good one',
		'let a timer bring it back, unless the new network proves itself',
		'write /etc/systemd/network/30-bringup-br0.network',
		'write /etc/systemd/network/20-bringup-iot.netdev',
		'remove iot',
		'let networkd make the links anew',
		'wait until every link is there',
		'give the proof all of the time',
		'prove that the machine is still reachable',
		'remove what an earlier try left',
		'keep the new network, where it was not taken back meanwhile',
		'stop the timer',
		'forget what was before',
		'end the trial',
	]);
});

test('a machine that nobody could reach before the change has nobody to lose, and keeps it', async t => {
	const cut = {...running, 'ip -json address show': [{ifname: 'br0', flags: ['UP'], addr_info: []}]};
	const steps = whys(await network.plan(other, machine(inForce, written, cut)));
	t.false(steps.some(why => /timer|prove/.test(why)));
	t.is(steps.at(-1), 'end the trial');
});

const saved = Object.fromEntries(
	Object.entries(written)
		.filter(([path]) => path.startsWith(networkFolder))
		.map(([path, content]) => [`${savedFolder}${path}`, content]),
);
const changed = writes(await network.plan(other, machine(inForce, written, running)));
const tried: Record<string, string> = {...written, ...changed, ...saved};
const moment = {at: '2026-11-21T06:00:00Z', links: ['br0', 'iot'], running: true, proven: true};

test('begun and not ended, a change is put back before anything else is planned', async t => {
	await t.throwsAsync(network.plan(other, machine(inForce, tried, running)), {
		message: /did not come to its end[\s\S]*systemctl restart bringup/,
	});
});

test('a network that lost the machine is taken back, with the reason, and not tried again', async t => {
	const plan = await planRestore(machine(inForce, {...tried, [reasonPath]: 'no gateway answers'}, running), moment);
	t.deepEqual(whys(plan?.files ?? []), [
		'take the change back',
		'put /etc/systemd/network back',
		'make /etc/systemd/network durable',
		'make it durable',
	]);
	t.deepEqual(whys(plan?.effects ?? []), ['remove iot', 'let networkd make the links anew']);
	t.deepEqual(whys(plan?.record ?? []), ['give the change up: no gateway answers']);
	t.false(
		[...(plan?.files ?? []), ...(plan?.effects ?? [])].some(step => step.do === 'write'),
		'a disk may be full',
	);
	const rejected = writes(plan?.record ?? [])[rejectedPath('network')] ?? '';
	const after = {...written, [rejectedPath('network')]: rejected};
	const error = await t.throwsAsync(network.plan(other, machine(inForce, after, running)), {instanceOf: GivenUp});
	t.regex(error.message, /was tried at 2026-11-21T06:00:00Z and taken back: no gateway answers[\s\S]*rm .*rejected/);
	t.deepEqual(await network.plan(config, machine(inForce, after, running)), []);
});

test('after a power cut the last good network comes back, and the change may be tried again', async t => {
	const {[trialPath]: _, ...cut} = tried;
	const plan = await planRestore(machine([enp1s0], cut), {...moment, links: ['enp1s0'], running: false});
	t.true(whys(plan?.files ?? []).includes('put /etc/systemd/network back'));
	t.deepEqual([...(plan?.effects ?? []), ...(plan?.record ?? [])], []);
});

test('what could not be asked, and what had no time, is no verdict', async t => {
	const unknown = await planRestore(machine(inForce, {...tried, [reasonPath]: ''}, running), moment);
	t.deepEqual(unknown?.record, []);
	const killed = {...tried, [reasonPath]: 'br0 has no address'};
	const begun = await planRestore(machine(inForce, killed, running), {...moment, proven: false});
	t.deepEqual(begun?.record, []);
});

test('a bond has the MAC address of its first link, and is a port of its bridge', async t => {
	const links = [enp1s0, card('enp2s0', '00:00:5e:00:53:01', [])];
	const bonded = networkSchema.parse({
		links: {left: {mac}, right: {mac: '00:00:5e:00:53:01'}},
		bonds: {bond0: {links: ['right', 'left'], mode: '802.3ad'}},
		bridges: {
			br0: {ports: {bond0: {}}, addresses: ['192.0.2.10/24', '2001:db8::10/64'], gateway: ['192.0.2.1', '2001:db8::1']},
		},
	});
	const made = writes(await network.plan(bonded, machine(links)));
	t.regex(
		made[`${networkFolder}/20-bringup-bond0.netdev`] ?? '',
		/Kind=bond\nMACAddress=00:00:5e:00:53:01\n[\s\S]*Mode=802\.3ad\n[\s\S]*LACPTransmitRate=fast/,
	);
	t.regex(
		made[`${networkFolder}/20-bringup-br0.netdev`] ?? '',
		/MACAddress=00:00:5e:00:53:01\n[\s\S]*VLANFiltering=no/,
	);
	t.regex(made[`${networkFolder}/30-bringup-bond0.network`] ?? '', /Bridge=br0/);
	t.regex(made[`${networkFolder}/30-bringup-br0.network`] ?? '', /Gateway=192\.0\.2\.1\nGateway=2001:db8::1\n/);
});

test('two links that change names with each other go by way of free ones', async t => {
	const swapped = [card('right', mac, []), card('left', '00:00:5e:00:53:01', [])];
	const named = networkSchema.parse({
		links: {left: {mac}, right: {mac: '00:00:5e:00:53:01'}},
		bridges: {br0: {ports: {left: {}}, addresses: 'dhcp'}},
	});
	const steps = await network.plan(named, machine(swapped));
	const renames = steps.flatMap(step =>
		step.do === 'run' && step.command.includes('name') ? [step.command.slice(4)] : [],
	);
	t.deepEqual(renames, [
		['right', 'name', 'bringup0'],
		['left', 'name', 'bringup1'],
		['bringup0', 'name', 'left'],
		['bringup1', 'name', 'right'],
	]);
});
