import {mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {machineProbe} from '../apply.ts';
import {foldersOf} from '../folders.test.machine.ts';
import {formatTable} from '../nftables.ts';
import {listEnabled, listUnits, type Step} from '../phase.ts';
import {probeRecord} from '../record.ts';
import {sequences} from '../sequence.ts';
import {finishedPath} from '../trial.ts';
import {type Firewall, firewall, firewallSchema, firstFirewall, formatFirewall} from './firewall.ts';

const config = firewallSchema.parse({
	zones: {lan: {links: ['br0']}, iot: {links: ['iot30']}, pods: {links: ['cni0', 'flannel.1', 'veth*']}},
	allow: {
		ssh: {from: 'lan', to: 'machine', protocol: 'tcp', ports: [22]},
		web: {
			from: 'any',
			to: 'machine',
			protocol: 'tcp',
			ports: [80, '8000-8099'],
			sources: ['192.0.2.0/24', '2001:db8::/32'],
		},
		dns: {from: 'pods', to: 'machine', ports: [53]},
		things: {from: 'lan', to: 'iot'},
	},
});

const stopped = {[listUnits.join(' ')]: '', [listEnabled.join(' ')]: '', 'nft list tables': ''};

const writes = (steps: readonly Step[]) =>
	Object.fromEntries(steps.flatMap(step => (step.do === 'write' ? [[step.path, step.content]] : [])));

/** What the real program makes of a table, in a network namespace of its own. */
async function load(text: string): Promise<string> {
	const folder = await mkdtemp(join(tmpdir(), 'bringup-nft-'));
	try {
		await writeFile(join(folder, 'table.nft'), text);
		await writeFile(
			join(folder, 'run'),
			`nft -f ${folder}/table.nft && nft -f ${folder}/table.nft && nft --stateless list ruleset\n`,
		);
		return await machineProbe.output(['unshare', '--user', '--map-root-user', '--net', '/bin/sh', join(folder, 'run')]);
	} finally {
		await rm(folder, {recursive: true});
	}
}

test('nftables takes the table, twice, and then the machine needs nothing', async t => {
	const steps = await firewall.plan(config, probeRecord({commands: stopped, files: {}}));
	const files = writes(steps);
	const listing = await load(files['/etc/bringup/nft/firewall.nft'] ?? '');
	t.regex(listing, /iifname "br0" tcp dport 22 accept comment "ssh"/);
	t.regex(listing, /ip6 saddr 2001:db8::\/32 tcp dport \{ 80, 8000-8099 \} accept comment "web"/);
	const done = {
		[listUnits.join(' ')]: 'nftables.service loaded active exited nftables\n',
		[listEnabled.join(' ')]: 'nftables.service\n',
		'nft list tables': 'table ip6 other\ntable inet bringup\n',
		'nft --stateless list table inet bringup': listing,
	};
	t.deepEqual(await firewall.plan(config, probeRecord({commands: done, files})), []);

	const without = {...done, 'nft --stateless list table inet bringup': listing.replace(/.*"dns".*\n/, '')};
	const repair = await firewall.plan(config, probeRecord({commands: without, files}));
	t.deepEqual(
		repair.map(({why}) => why),
		['load the table inet bringup'],
	);

	const flushed = {...done, 'nft list tables': 'table ip6 other\n'};
	const again = await firewall.plan(config, probeRecord({commands: flushed, files}));
	t.deepEqual(
		again.map(({why}) => why),
		['load the table inet bringup'],
	);
});

test('nothing of another table is touched', async t => {
	const files = writes(await firewall.plan(config, probeRecord({commands: stopped, files: {}})));
	t.false(Object.values(files).some(content => content.includes('flush')));
	t.regex(files['/etc/systemd/system/nftables.service.d/10-bringup.conf'] ?? '', /^ExecStop=$/m);
});

test('a machine whose nftables cannot answer is not taken for one without rules', async t => {
	await t.throwsAsync(firewall.plan(config, probeRecord({commands: {}, files: {}})), {message: /nft list tables/});
});

test('each table is loaded by a program of its own: what is wrong with one keeps no other out', async t => {
	const files = writes(await firewall.plan(config, probeRecord({commands: stopped, files: {}})));
	const dropIns = '/etc/systemd/system/nftables.service.d';
	t.regex(
		files[`${dropIns}/20-bringup-firewall.conf`] ?? '',
		/^ExecStart=-\/usr\/sbin\/nft --file \/etc\/bringup\/nft\/firewall\.nft$/m,
	);
	t.notRegex(files[`${dropIns}/10-bringup.conf`] ?? '', /^ExecStart=./m);
});

test('before any link is up for the first time the table is in force, and later it is not loaded untried', async t => {
	const first = await firstFirewall.plan(config, probeRecord({commands: stopped, files: {}}));
	t.true(first.some(({why}) => why === 'load the table inet bringup'));
	const names = sequences.provision.map(({name}) => name);
	t.true(names.indexOf('first-firewall') < names.indexOf('link'));
	const files = {'/etc/bringup/nft/firewall.nft': 'another'};
	t.deepEqual(await firstFirewall.plan(config, probeRecord({commands: {}, files})), []);
});

const network = '/etc/systemd/network/30-bringup-br0.network';
const reached = {
	...stopped,
	'ip -json address show': [
		{ifname: 'br0', flags: ['LOWER_UP'], addr_info: [{local: '192.0.2.9', prefixlen: 24, scope: 'global'}]},
		{ifname: 'cni0', flags: ['LOWER_UP'], addr_info: [{local: '10.42.0.1', prefixlen: 24, scope: 'global'}]},
	],
	'ip -json -4 route show default dev br0': [{gateway: '192.0.2.1'}],
	'ip -json neighbour show dev br0': [],
	'arping -q -f -c 3 -w 3 -I br0 192.0.2.1': '',
	'journalctl --quiet --lines=1 --show-cursor --output=cat': '-- cursor: s=1\n',
};

/** SSH from the LAN, or from some of it; pods may do what they like. */
const letIn = (sources?: string[]) =>
	firewallSchema.parse({
		zones: {lan: {links: ['br0']}, pods: {links: ['cni0']}},
		allow: {
			ssh: {from: 'lan', to: 'machine', protocol: 'tcp', ports: [22], ...(sources ? {sources} : {})},
			pods: {from: 'pods', to: 'machine'},
		},
	});

/** What a change of the firewall asks of people, on a machine where these are logged in. */
async function findProof(
	wanted: Firewall,
	peers: string[],
	before?: string,
	link = 'br0',
): Promise<string | undefined> {
	const own = {
		[network]: 'RequiredForOnline=routable\n',
		[finishedPath]: '',
		'/etc/bringup/nft/firewall.nft': before ?? 'old',
	};
	const routes = peers.map(peer => [`ip -json route get ${peer}`, [{dev: link}]]);
	const sessions = peers.map(peer => `0 0 192.0.2.9:22 ${peer}:50000\n`).join('');
	const commands = {
		...reached,
		...Object.fromEntries(routes),
		'ss --no-header --tcp --numeric state established sport = :22': sessions,
	};
	const steps = await firewall.plan(wanted, probeRecord({commands, files: {...own, ...foldersOf(Object.keys(own))}}));
	return steps.find(step => step.do === 'wait')?.why;
}

const far = ['10.0.0.0/8', '2001:db8::/32'];
const login = /^wait for a new SSH login from anybody/;
const plain = /^prove that the machine is still reachable/;

test('a change that shuts out those who are logged in, or all neighbours, is kept only after a new login', async t => {
	t.regex((await findProof(letIn(undefined), [])) ?? '', plain);
	t.regex((await findProof(letIn(['192.0.2.0/28']), [])) ?? '', plain);
	t.regex((await findProof(letIn(['10.0.0.0/8']), ['10.1.2.3'])) ?? '', plain);
	t.regex((await findProof(letIn(['198.51.100.7/32']), [])) ?? '', login);
	t.regex((await findProof(letIn(['198.51.100.7/32']), ['192.0.2.7'])) ?? '', login);
	t.regex((await findProof(letIn(['192.0.2.8/32']), ['192.0.2.7'])) ?? '', login);
});

/** A table that lets SSH in from the LAN, and pods in to all. */
const tableOf = (wanted: object) =>
	formatTable({family: 'inet', name: 'firewall', content: formatFirewall(firewallSchema.parse(wanted))});

test('where nobody is logged in, a change that lets in over the management link who is let in now needs no login', async t => {
	const zones = {lan: {links: ['br*']}, pods: {links: ['cni0']}, old: {links: ['br1']}};
	const rule = (more: object, from = 'lan') => ({from, to: 'machine', protocol: 'tcp', ports: [22], ...more});
	for (const [name, allow, proof] of [
		['the same under another name', {shell: rule({sources: far})}, plain],
		['more sources, in another order', {ssh: rule({sources: ['198.51.100.0/24', ...far.toReversed()]})}, plain],
		['wider ones', {ssh: rule({sources: ['10.0.0.0/7', '2001:db8::/31']})}, plain],
		['two rules', {a: rule({sources: far.slice(0, 1)}), b: rule({sources: far.slice(1)}, 'any')}, plain],
		['more ports, any protocol', {ssh: rule({sources: far, ports: ['20-25', 443], protocol: undefined})}, plain],
		['all of them', {ssh: rule({})}, plain],
		['nothing for pods any more', {ssh: rule({sources: far}), pods: rule({ports: [53]}, 'pods')}, plain],
		['less of them', {ssh: rule({sources: ['10.0.0.0/9', '2001:db8::/32']})}, login],
		['one family', {ssh: rule({sources: far.slice(0, 1)})}, login],
		['another port', {ssh: rule({sources: far, ports: [2222]})}, login],
		['UDP', {ssh: rule({sources: far, protocol: 'udp'})}, login],
		['another link', {ssh: rule({sources: far}, 'old')}, login],
	] as const) {
		const before = tableOf({zones, allow: {ssh: rule({sources: far}), pods: {from: 'pods', to: 'machine'}}});
		const after = firewallSchema.parse(
			JSON.parse(JSON.stringify({zones: {...zones, lan: {links: ['br0']}}, allow: {pods: rule({}, 'pods'), ...allow}})),
		);
		t.regex((await findProof(after, [], before)) ?? '', proof, name);
	}
	const wide = tableOf({zones: {lan: {links: ['br0']}}, allow: {some: {from: 'any', to: 'machine', ports: ['20-25']}}});
	t.regex((await findProof(letIn(far), [], wide)) ?? '', login);
	// The machine is reached over another link than before.
	const elsewhere = tableOf({zones, allow: {ssh: rule({}, 'old')}});
	t.regex((await findProof(letIn(far), [], elsewhere)) ?? '', login);
});

test('neither the machine itself nor a pod that is logged in answers for those who are not', async t => {
	for (const own of ['192.0.2.9/32', '192.0.2.0/32', '192.0.2.255/32'])
		t.regex((await findProof(letIn([own]), [])) ?? '', login, own);
	t.regex((await findProof(letIn(['192.0.2.8/31']), [])) ?? '', plain);
	t.regex((await findProof(letIn(far), ['10.42.0.5'], undefined, 'cni0')) ?? '', login);
});

test('without the section, the table goes from the kernel and from the boot, and no other with it', async t => {
	const folder = '/etc/systemd/system/nftables.service.d';
	const running = {
		[listUnits.join(' ')]: 'nftables.service loaded active exited nftables\n',
		[listEnabled.join(' ')]: 'nftables.service\n',
	};
	const files = writes(await firewall.plan(config, probeRecord({commands: stopped, files: {}})));
	const plan = (listing: string, more: Record<string, string> = {}) =>
		firewall.absent?.(probeRecord({commands: running, files: {...files, ...more, '/etc/bringup/nft/': listing}})) ??
		Promise.resolve([]);
	const steps = await plan('firewall.nft\tf\n');
	const commands = steps.map(step => (step.do === 'run' ? step.command.join(' ') : step.do));
	t.is(commands[0], 'nft --file -');
	t.is(steps[0]?.do === 'run' ? steps[0].stdin : '', 'table inet bringup\ndelete table inet bringup\n');
	t.is(commands.at(-1), 'rm --force /etc/bringup/nft/firewall.nft');
	const stop = commands.indexOf('systemctl disable --now nftables.service');
	t.true(stop > 0 && stop < commands.indexOf(`rm --force ${folder}/10-bringup.conf`));
	t.false(commands.some(command => command.includes('flush') || command.includes('domains')));
	const beside = await plan('firewall.nft\tf\ndomains.nft\tf\n', {'/etc/bringup/nft/domains.nft': 'x'});
	t.false(beside.some(step => step.do === 'run' && step.command.join(' ').includes('disable')));
	t.deepEqual(await firewall.absent?.(probeRecord({commands: {}, files: {}})), []);
});
