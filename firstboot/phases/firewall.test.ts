import {mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {machineProbe} from '../apply.ts';
import {listEnabled, listUnits, type Step} from '../phase.ts';
import {probeRecord} from '../record.ts';
import {firewall, firewallSchema} from './firewall.ts';

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
