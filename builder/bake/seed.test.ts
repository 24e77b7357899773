import {stat} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {renderSeed} from '../../firstboot/sequence.ts';
import {withFolder} from '../folder.ts';
import {run} from '../run.ts';
import {listSeedFiles, writeSeedIso} from './seed.ts';

const common = {network: 'lan', device: 'one-0', floating: [], antiSpoofing: true};
const seed = renderSeed(
	{
		name: 'one',
		seed: {users: [{name: 'admin', sshKeys: ['ssh-ed25519 AAAA me'], sudo: true, groups: []}], files: {}},
		links: [
			{...common, mac: '52:54:00:00:00:0b', addresses: ['192.0.2.11/24'], gateway: '192.0.2.1', dns: ['192.0.2.53']},
			{...common, mac: '52:54:00:00:00:0c', addresses: ['2001:db8::11/64'], gateway: '2001:db8::1', dns: []},
			{...common, mac: '52:54:00:00:00:0d', addresses: [], dns: []},
		],
	},
	new Map(),
);
if (!seed) throw new Error('the test has no seed');

test('a ConfigDrive says of the network what the NoCloud seed says', t => {
	const files = listSeedFiles(seed, 'configdrive');
	const read = (name: string) => JSON.parse(files.get(`openstack/latest/${name}`) ?? '');
	t.deepEqual(read('meta_data.json'), {uuid: seed.instanceId, hostname: 'one', name: 'one'});
	t.is(files.get('openstack/latest/user_data'), seed.files['user-data']);
	const {links, networks, services} = read('network_data.json');
	t.deepEqual(links[0], {id: 'net0', name: 'net0', type: 'phy', ethernet_mac_address: '52:54:00:00:00:0b'});
	const route = (nothing: string, gateway: string) => ({network: nothing, netmask: nothing, gateway});
	t.deepEqual(networks, [
		{
			id: 'net0-192.0.2.11/24',
			link: 'net0',
			type: 'ipv4',
			ip_address: '192.0.2.11/24',
			routes: [route('0.0.0.0', '192.0.2.1')],
		},
		{
			id: 'net1-2001:db8::11/64',
			link: 'net1',
			type: 'ipv6',
			ip_address: '2001:db8::11/64',
			routes: [route('::', '2001:db8::1')],
		},
		{id: 'net2-dhcp', link: 'net2', type: 'ipv4_dhcp'},
	]);
	t.deepEqual(services, [{type: 'dns', address: '192.0.2.53'}]);
});

for (const [format, label] of [
	['nocloud', 'CIDATA'],
	['configdrive', 'config-2'],
] as const)
	test(`the ISO of a ${format} seed has the label ${label}, its files, and one reader`, async t => {
		await withFolder(tmpdir(), async folder => {
			const iso = join(folder, 'seed.iso');
			await writeSeedIso(seed, format, iso);
			const said: string[] = [];
			await run(['xorriso', '-indev', iso, '-pvd_info'], {onLine: line => said.push(line)});
			t.true(
				said.some(line => line.includes('Volume Id') && line.includes(label)),
				said.join('\n'),
			);
			const found = await run(['xorriso', '-indev', iso, '-find', '/', '-type', 'f']);
			for (const path of listSeedFiles(seed, format).keys()) t.true(found.includes(`'/${path}'`));
			t.is((await stat(iso)).mode & 0o777, 0o600);
		});
	});
