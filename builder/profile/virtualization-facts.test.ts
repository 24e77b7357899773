import {writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {withFolder} from '../folder.ts';
import {ProfileError} from './faults.ts';
import {loadProfile} from './profile.ts';

const key = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEgcppmhmnOuvEPs/uZFLWyxgq4z5jb03cyQg9Iyc7jY me';
const head = `schema: 1
install: {disk: {minSize: 16G}}
identity: {hostname: node, users: [{name: admin, sshKeys: [${key}]}]}
`;

/** Every fault of a profile, or nothing. */
async function faultsOf(yaml: string): Promise<string> {
	return withFolder(tmpdir(), async folder => {
		const path = join(folder, 'p.yaml');
		await writeFile(path, head + yaml);
		try {
			await loadProfile(path);
			return '';
		} catch (error) {
			if (!(error instanceof ProfileError)) throw error;
			return error.message;
		}
	});
}

/** The sizing of a homelab, on a machine with this memory. */
const homelab = (memory: string) => `machine: {memory: ${memory}, cpus: 8}
virtualization:
  reserve: {memory: 8G}
  networks: {lan: {bridge: br0, groups: {cluster: {vlan: 20}}}}
  domains:
    control-1:
      cpus: 4
      memory: 8G
      disks: [{pool: images, size: 64G, from: &golden {asset: {url: 'https://mirror.example/golden.qcow2', sha256: ${'a'.repeat(64)}, delivery: machine}}, how: backing}]
      networks: [{network: lan, group: cluster, addresses: [192.0.2.11/24], gateway: 192.0.2.1, dns: [192.0.2.1]}]
      seed: &seed {users: [{name: admin, sshKeys: auto}]}
    worker-1: &worker
      cpus: 4
      memory: 16G
      disks: [{pool: images, size: 128G, from: *golden, how: backing}]
      networks: [{network: lan, group: cluster}]
      seed: *seed
    worker-2: *worker
`;

test('the sizing of a homelab fits into 48 GB; into 44 GB it does not', async t => {
	t.is(await faultsOf(homelab('48G')), '');
	t.regex(await faultsOf(homelab('44G')), /virtualization\.domains: the domains take 40G of memory.*it has 44G/);
});

const one = (domain: string, more = '') => `virtualization:
  pools: {images: {path: /srv/vms}, fast: {volumeGroup: vg0}}
  networks: {lan: {bridge: br0}}
  domains: {one: {cpus: 1, memory: 1G, disks: [{pool: images, size: 1G}], ${domain}}${more}}
`;
const net = 'network: {links: {mgmt: {}}, bridges: {br0: {ports: {mgmt: {}}, addresses: dhcp}}}\n';
const golden = `from: {asset: {url: 'https://mirror.example/g', sha256: ${'a'.repeat(64)}}}`;

const table: [title: string, yaml: string, fault: RegExp][] = [
	[
		'a pool that is none',
		one('disks: [{pool: fats, size: 1G}]').replace('disks: [{pool: images, size: 1G}], ', ''),
		/disks\[0\]\.pool: there is no pool fats; there are: images, fast/,
	],
	[
		'a network that is none',
		one('networks: [{network: lna}]'),
		/networks\[0\]\.network: there is no network lna; there are: lan/,
	],
	[
		'a group that is none',
		one('networks: [{network: lan, group: iot}]'),
		/the network lan has no group iot; it has: none/,
	],
	[
		'a gateway outside',
		one('networks: [{network: lan, addresses: [192.0.2.5/24], gateway: 198.51.100.1}]'),
		/gateway: lies in no subnet of 192\.0\.2\.5\/24/,
	],
	['a gateway beside DHCP', one('networks: [{network: lan, gateway: 192.0.2.1}]'), /comes from the lease/],
	[
		'floating addresses beside DHCP',
		one('networks: [{network: lan, floating: [192.0.2.9]}]'),
		/floating: without static addresses/,
	],
	[
		'a group address for a MAC',
		one("networks: [{network: lan, mac: '01:00:5e:00:00:01'}]"),
		/second digit must be even/,
	],
	[
		'backing without an image',
		one('disks: [{pool: images, size: 1G, how: backing}]').replace('disks: [{pool: images, size: 1G}], ', ''),
		/how: backing needs a golden image/,
	],
	[
		'backing in a volume group',
		one(`disks: [{pool: fast, size: 1G, how: backing, ${golden}}]`).replace('disks: [{pool: images, size: 1G}], ', ''),
		/a volume of LVM or ZFS has no backing/,
	],
	[
		'a damaged key in a seed',
		one('seed: {users: [{name: a, sshKeys: [ssh-rsa AAAA]}]}'),
		/seed\.users\[0\]\.sshKeys\[0\]: the key is damaged/,
	],
	[
		"libvirt's own network",
		'virtualization: {networks: {default: {bridge: br0}}}\n',
		/networks\.default: is the name of libvirt's own network/,
	],
	[
		'VLANs on Debian 12',
		'debian: {release: bookworm}\nvirtualization: {networks: {lan: {bridge: br0, vlan: 5}}}\n',
		/networks\.lan: has VLANs, which the libvirt of Debian 12 cannot set/,
	],
	[
		'two domains with one address',
		one(
			'networks: [{network: lan, addresses: [192.0.2.5/24]}]',
			', two: {cpus: 1, memory: 1G, disks: [{pool: images, size: 1G}], networks: [{network: lan, addresses: [192.0.2.5/24]}]}',
		),
		/domains\.two\.networks\[0\]\.addresses\[0\]: 192\.0\.2\.5 is that of one already/,
	],
	[
		'a bridge that is none',
		`${net}virtualization: {networks: {lan: {bridge: br9}}}\n`,
		/networks\.lan\.bridge: there is no bridge br9 in network\.bridges; there are: br0/,
	],
	[
		'VLANs on a bridge that keeps none apart',
		`${net}virtualization: {networks: {lan: {bridge: br0, groups: {iot: {vlan: 30}}}}}\n`,
		/networks\.lan\.bridge: has VLANs, .* set network\.bridges\.br0\.vlanAware: true/,
	],
	[
		'VLANs on one that is told to',
		`${net.replace('ports', 'vlanAware: true, ports')}virtualization: {networks: {lan: {bridge: br0, groups: {iot: {vlan: 30}}}}}\n`,
		/^$/,
	],
	[
		'names that every object has',
		one('networks: [{network: constructor}]'),
		/there is no network constructor; there are: lan/,
	],
	[
		'a pool of such a name',
		one('disks: [{pool: constructor, size: 1G}]').replace('disks: [{pool: images, size: 1G}], ', ''),
		/there is no pool constructor/,
	],
	[
		'a group of such a name',
		one('networks: [{network: lan, group: constructor}]'),
		/the network lan has no group constructor/,
	],
	[
		'a logical volume whose name LVM keeps',
		`virtualization: {pools: {fast: {volumeGroup: vg0}}, domains: {snapshot-1: {cpus: 1, memory: 1G, disks: [{pool: fast, size: 4G}]}}}\n`,
		/snapshot-1\.disks\[0\]: would be the logical volume snapshot-1-0, and LVM keeps/,
	],
	['a link-local gateway', one('networks: [{network: lan, addresses: ["2001:db8::5/64"], gateway: "fe80::1"}]'), /^$/],
	[
		'a link-local gateway beside IPv4',
		one('networks: [{network: lan, addresses: [192.0.2.5/24], gateway: "fe80::1"}]'),
		/gateway: lies in no subnet/,
	],
	[
		'nothing wrong',
		one(`networks: [{network: lan, mac: '52:54:00:00:00:01', addresses: [192.0.2.5/24], gateway: 192.0.2.1}]`),
		/^$/,
	],
];
for (const [title, yaml, fault] of table)
	test(`domains: ${title}`, async t => {
		t.regex(await faultsOf(yaml), fault);
	});
