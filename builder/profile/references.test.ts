import test from 'ava';
import {checkFacts} from '../../firstboot/facts/facts.ts';
import {formatPath} from '../../firstboot/facts/issues.ts';
import {profileSchema} from './schema.ts';

/** Names of nothing, which every JavaScript object has all the same. */
const inherited = ['constructor', 'toString', 'valueOf'];

/** A profile in which every field that names something names this. */
function write(name: string) {
	return profileSchema.parse({
		schema: 1,
		install: {disk: {minSize: '16G'}},
		identity: {hostname: 'a', users: [{name: 'admin', sshKeys: 'auto'}]},
		network: {
			management: name.toLowerCase(),
			bonds: {bond0: {links: [name.toLowerCase()]}},
			bridges: {br0: {ports: {[name.toLowerCase()]: {}}, addresses: 'dhcp'}},
			vlans: {v: {link: name.toLowerCase(), id: 5}},
		},
		firewall: {zones: {lan: {links: ['br0']}}, allow: {a: {from: name.toLowerCase(), to: name}}},
		storage: {
			disks: {d: {serial: 'D'}},
			arrays: {m: {level: 'raid1', members: ['d', name.toLowerCase()]}},
			groups: {g: {members: [name.toLowerCase()]}},
			filesystems: {f: {on: name, type: 'ext4', mount: '/srv/f'}},
			pools: {tank: {vdevs: [{type: 'disk', members: [name.toLowerCase()]}]}},
		},
		virtualization: {
			pools: {p: {dataset: `${name.toLowerCase()}/x`}},
			networks: {lan: {bridge: 'br0'}},
			domains: {
				a: {
					cpus: 1,
					memory: '1G',
					disks: [{pool: name.toLowerCase(), size: '1G'}],
					networks: [{network: name.toLowerCase()}, {network: 'lan', group: name.toLowerCase()}],
				},
			},
		},
		containers: {
			users: {
				apps: {
					uid: 2000,
					units: {
						'a.container': {Container: {Image: name, Secret: name}},
						'b.kube': {Kube: {Yaml: name}},
					},
				},
			},
		},
	});
}

const faultsOf = (name: string) =>
	checkFacts(write(name)).map(({path, message}) =>
		`${formatPath(path)}: ${message}`.replaceAll(new RegExp(name, 'gi'), 'NAME'),
	);

test('a name of nothing is told wherever it stands, also one that JavaScript knows', t => {
	const plain = faultsOf('absent');
	t.true(plain.length >= 14, plain.join('\n'));
	for (const name of inherited) t.deepEqual(faultsOf(name), plain);
});
