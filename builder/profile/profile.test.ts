import {writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {withFolder} from '../folder.ts';
import {ProfileError} from './faults.ts';
import {findProfile, loadProfile} from './profile.ts';

const key = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEgcppmhmnOuvEPs/uZFLWyxgq4z5jb03cyQg9Iyc7jY me';
const whole = `schema: 1
install: {disk: {minSize: 16G}}
identity: {hostname: node, users: [{name: admin, sshKeys: [${key}]}]}
`;

async function inFolder<T>(files: Record<string, string>, use: (folder: string) => Promise<T>): Promise<T> {
	return withFolder(tmpdir(), async folder => {
		for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content);
		return use(folder);
	});
}

/** Every fault of a profile, without the folder. */
async function faultsOf(files: Record<string, string>): Promise<string> {
	return inFolder(files, async folder => {
		try {
			await loadProfile(join(folder, 'p.yaml'));
			return '';
		} catch (error) {
			if (!(error instanceof ProfileError)) throw error;
			return error.message.replaceAll(`${folder}/`, '');
		}
	});
}

const table: [title: string, yaml: string, fault: string | RegExp][] = [
	['a whole profile has none', whole, /^$/],
	['YAML that is none', 'schema: [1', /^p\.yaml:1:11: error: .*sequence/],
	['a key given twice', `${whole}schema: 1\n`, /^p\.yaml:4:1: error: Map keys must be unique/],
	['an empty file', '', /schema: is missing; expected 1/],
	[
		'an unknown section, near a known one',
		`${whole}debain: {}\n`,
		'p.yaml:4:1: error: debain: there is no such field (did you mean "debian"?)\n 4 | debain: {}\n   | ^^^^^^',
	],
	[
		'an unknown field, near none',
		`${whole}machine: {colour: red}\n`,
		/4:11: error: machine\.colour: there is no such field; the fields here are firmware, secureBoot, consoles/,
	],
	[
		'ZFS under Secure Boot without a key that the kernel would know',
		`${whole}debian: {components: [main, contrib, non-free-firmware]}\nstorage: {disks: {a: {serial: A}}, pools: {tank: {vdevs: [{type: disk, members: [a]}]}}}\n`,
		/^p\.yaml:5:\d+: error: storage\.pools: Debian does not sign the module of ZFS.*storage\.mok.*machine: \{secureBoot: false\}/,
	],
	[
		'ZFS without the component that it is in',
		`${whole}machine: {secureBoot: false}\nstorage: {disks: {a: {serial: A}}, pools: {mirrors: {vdevs: [{type: mirror, members: [a]}]}}}\n`,
		/storage\.pools: ZFS is in the component contrib[\s\S]*pools\.mirrors: mirrors means something else[\s\S]*members: mirror has 2 members or more/,
	],
	[
		'pools whose parts differ, and a dataset in the way of a file system',
		`${whole}debian: {components: [main, contrib]}\nmachine: {secureBoot: false, microcode: []}\nstorage: {disks: {a: {serial: A}, b: {serial: B}, c: {serial: C}, d: {serial: D}}, filesystems: {e: {on: d, type: xfs, mount: /srv/e}}, pools: {tank: {vdevs: [{type: mirror, members: [a, b]}, {type: disk, members: [c]}], datasets: {x: {mount: /srv/e/x}}}}}\n`,
		/vdevs\[1\]: zpool takes vdevs of one type[\s\S]*datasets\.x\.mount: e is mounted there, above it or below it/,
	],
	[
		'a value near one of a set',
		`${whole}debian: {release: trixi}\n`,
		/4:19: error: debian\.release: expected one of trixie, bookworm \(did you mean "trixie"\?\)/,
	],
	[
		'another version of the format',
		whole.replace('schema: 1', 'schema: 2'),
		/1:9: error: schema: expected 1, found number 2/,
	],
	[
		'a size in words',
		whole.replace('16G', '20 gigs'),
		'p.yaml:2:27: error: install.disk.minSize: expected a size such as 20G (powers of 1024) or 500GB (powers of 1000)\n 2 | install: {disk: {minSize: 20 gigs}}\n   |                           ^^^^^^^',
	],
	[
		'a golden image with a name, a network, and a key that is not said',
		`${whole.replace('identity: {hostname: node, users: [{name: admin, sshKeys: [', 'identity: {hostname: node, users: [{name: x, sshKeys: auto}, {name: admin, sshKeys: [')}image: {}\nnetwork: {links: {mgmt: {addresses: dhcp}}, management: mgmt}\nhardening: {}\n`,
		/identity\.hostname: a golden image has no name[\s\S]*users\[0\]\.sshKeys: opens every clone[\s\S]*network: a golden image has no section network[\s\S]*hardening\.recovery: all clones/,
	],
	[
		'a golden image with a secret, a cluster, and a file that it would have to fetch',
		`${whole.replace('hostname: node, ', '')}image: {}\nkubernetes: {role: server, cluster: home, binary: {asset: {url: "https://mirror.example/k3s", sha256: ${'a'.repeat(64)}}}, registries: {x: {secret: {env: X}}}}\n`,
		/kubernetes\.cluster: the clones' seeds[\s\S]*kubernetes\.binary: a golden image is whole[\s\S]*registries\.x: a golden image is shared/,
	],
	[
		'a machine without a name, without users, and of no cluster',
		`${whole.replace(/identity.*\n/, 'identity: {}\n')}kubernetes: {role: agent, server: "https://192.0.2.11:6443", binary: {asset: {file: k3s}}}\n`,
		/identity\.hostname: is missing[\s\S]*identity\.users: is missing or empty[\s\S]*kubernetes\.cluster: is missing/,
	],
	[
		'an empty selector',
		whole.replace('minSize: 16G', ''),
		/2:17: error: install\.disk: the selector is empty and would match any disk/,
	],
	['a missing section', whole.replace(/install.*\n/, ''), /install: is missing; expected a map of fields/],
	[
		'a list where a map belongs',
		`${whole}network: []\n`,
		/4:10: error: network: expected a map of fields, found a list/,
	],
	['nothing where a map belongs', `${whole}network:\n`, /network: expected a map of fields, found nothing/],
	[
		'a variable is no interpolation',
		// biome-ignore lint/suspicious/noTemplateCurlyInString: what is refused
		whole.replace('hostname: node', 'hostname: "${HOST}"'),
		/identity\.hostname: expected a host name/,
	],
	[
		'a key that is cut short',
		whole.replace('Iyc7jY', ''),
		/identity\.users\[0\]\.sshKeys\[0\]: the key is (damaged|cut short)/,
	],
	['a private key', whole.replace(key, '"-----BEGIN OPENSSH PRIVATE KEY-----"'), /this is a private key/],
	[
		'a user twice',
		whole.replace('users: [', `users: [{name: admin, sshKeys: auto}, `),
		/users\[1\]\.name: the user admin is here twice/,
	],
	[
		'a user with the name of the console account',
		whole.replace('name: admin,', 'name: recovery,'),
		/users\[0\]\.name: recovery is the account for the console/,
	],
	[
		'a password in the profile',
		whole.replace('name: admin,', 'name: admin, password: hunter2,'),
		/users\[0\]\.password: expected a map of fields/,
	],
	[
		'a time zone of no place',
		whole.replace('hostname: node,', 'hostname: node, timezone: here and there,'),
		/identity\.timezone: expected a time zone/,
	],
	[
		'an address without a prefix',
		`${whole}network: {bridges: {br0: {addresses: [10.0.0.1]}}}\n`,
		/4:39: error: network\.bridges\.br0\.addresses\[0\]: expected an IPv4 address with its prefix length/,
	],
	[
		'subnets that overlap',
		`${whole}network: {bridges: {br0: {addresses: [10.0.0.1/8, 10.1.0.1/16]}}}\n`,
		/4:51: error: network\.bridges\.br0\.addresses\[1\]: its subnet overlaps with that of 10\.0\.0\.1\/8/,
	],
	[
		"a subnet's own address",
		`${whole}network: {bridges: {br0: {addresses: [10.0.0.0/24]}}}\n`,
		/addresses\[0\]: 10\.0\.0\.0\/24 is the address of the subnet itself/,
	],
	[
		'a gateway outside',
		`${whole}network: {bridges: {br0: {addresses: [10.0.0.1/24], gateway: 10.0.1.1}}}\n`,
		/gateway: lies in no subnet of 10\.0\.0\.1\/24/,
	],
	[
		'a gateway beside DHCP',
		`${whole}network: {bridges: {br0: {addresses: dhcp, gateway: 10.0.1.1}}}\n`,
		/gateway: with dhcp the gateway comes from the lease/,
	],
	[
		'a bridge over a link that is not there',
		`${whole}network: {bridges: {br0: {ports: {mgmt: {}}, addresses: dhcp}}}\n`,
		/4:41: error: network\.bridges\.br0\.ports\.mgmt: there is no link or bond mgmt in network/,
	],
	[
		'a link in two bridges',
		`${whole}network: {links: {a: {}}, bridges: {br0: {ports: {a: {}}, addresses: dhcp}, br1: {ports: {a: {}}}}}\n`,
		/network\.bridges\.br1\.ports\.a: a is part of br0 already/,
	],
	[
		'two links that nothing tells apart',
		`${whole}network: {links: {a: {}, b: {}}, bridges: {br0: {ports: {a: {}}, addresses: dhcp}}}\n`,
		/network\.links\.b: give it a mac or path; a has none either/,
	],
	[
		'a VLAN that no port carries',
		`${whole}network: {links: {a: {}}, bridges: {br0: {ports: {a: {}}, addresses: dhcp}}, vlans: {iot: {link: br0, id: 30}}}\n`,
		/network\.vlans\.iot\.id: no port of br0 carries VLAN 30; add it to tagged of one/,
	],
	[
		'a machine that nobody could reach',
		`${whole}network: {links: {a: {}}, bridges: {br0: {ports: {a: {}}}}}\n`,
		/network\.bridges\.br0: the machine is reached over it, and it has no addresses/,
	],
	[
		'a firewall that shuts its owner out',
		`${whole}network: {links: {a: {}}, bridges: {br0: {ports: {a: {}}, addresses: dhcp}}}\nfirewall: {zones: {lan: {links: [br0]}}}\n`,
		/5:11: error: firewall: nobody could reach the machine over SSH: br0 holds its address/,
	],
	[
		'a zone that is not there',
		`${whole}firewall: {zones: {lan: {links: [br0]}}, allow: {web: {from: lan, to: wan, ports: [80]}}}\n`,
		/firewall\.allow\.web\.to: there is no zone wan; there are machine, lan/,
	],
	[
		'a data disk that is named by nothing',
		`${whole}storage: {disks: {a: {wipe: true}}}\n`,
		/storage\.disks\.a: the selector is empty and would match any disk/,
	],
	[
		"a data disk whose partition would have the name of one of the system's",
		`${whole}storage: {disks: {root: {serial: A}}, filesystems: {d: {on: root, type: xfs, mount: /srv/d}}}\n`,
		/storage\.disks\.root: bringup-root is a partition of the system disk; take another name/,
	],
	[
		'a disk in two arrays',
		`${whole}storage: {disks: {a: {serial: A}, b: {serial: B}}, arrays: {m: {level: raid1, members: [a, b]}, n: {level: raid1, members: [a, b]}}, filesystems: {d: {on: m, type: xfs, mount: /srv/d}, e: {on: n, type: xfs, mount: /srv/e}}}\n`,
		/storage\.arrays\.n\.members\[0\]: a is used by m already/,
	],
	[
		'a volume that is not there, and a mount over the system',
		`${whole}storage: {disks: {a: {serial: A}}, groups: {vg: {members: [a]}}, filesystems: {d: {on: vg/x, type: xfs, mount: /usr}}}\n`,
		/on: there is no disk, array or GROUP\/VOLUME vg\/x; there are a[\s\S]*mount: \/usr belongs to the system/,
	],
	[
		'microcode without its component',
		`${whole}debian: {components: [main]}\n`,
		/machine\.microcode: microcode is in the component non-free-firmware/,
	],
	[
		'no such profile to extend',
		`extends: absent.yaml\n${whole}`,
		/1:10: error: extends: there is no file .*absent\.yaml/,
	],
	[
		'a profile that extends itself',
		`extends: p.yaml\n${whole}`,
		/1:10: error: extends: the profiles extend each other in a circle: .*p\.yaml -> .*p\.yaml/,
	],
];

for (const [title, yaml, fault] of table) {
	test(title, async t => {
		const found = await faultsOf({'p.yaml': yaml});
		if (typeof fault === 'string') t.is(found, fault);
		else t.regex(found, fault);
	});
}

test('all faults are told at once, by place', async t => {
	const found = await faultsOf({
		'p.yaml': 'schema: 3\ndebian: {release: sid}\ninstall: {disk: {}, wipe: yes}\nidentity: {}\n',
	});
	t.deepEqual(
		found.split('\n').flatMap(line => /^p\.yaml:(\d+:\d+)/.exec(line)?.[1] ?? []),
		['1:9', '2:19', '3:17', '3:27', '4:11', '4:11'],
	);
});

test('profiles extend each other field by field, lists are replaced, and a fault is told where it stands', async t => {
	const files = {
		'base.yaml': `${whole}debian: {packages: [htop, tmux]}\nmachine: {consoles: [lpt]}\n`,
		'p.yaml':
			'extends: base.yaml\nschema: 1\ndebian: {packages: [jq], release: bookworm}\ninstall: {wipe: same-machine}\n',
	};
	t.regex(await faultsOf(files), /^base\.yaml:5:22: error: machine\.consoles\[0\]/);
	await inFolder({...files, 'base.yaml': files['base.yaml'].replace('lpt', 'tty0')}, async folder => {
		const {fields} = await loadProfile(join(folder, 'p.yaml'));
		t.deepEqual(fields.debian.packages, ['jq']);
		t.is(fields.debian.release, 'bookworm');
		t.deepEqual(fields.install, {
			method: 'image',
			disk: {minSize: '16G'},
			firmware: 'booted',
			wipe: 'same-machine',
		});
	});
});

test('a field that is nothing takes away what the extended profile has', async t => {
	const base = `${whole}debian: {packages: [htop]}\nnetwork: {links: {a: {}}, bridges: {br0: {ports: {a: {}}, addresses: dhcp}}}\n`;
	const files = {'base.yaml': base, 'p.yaml': 'extends: base.yaml\nschema: 1\ndebian:\nnetwork:\n'};
	await inFolder(files, async folder => {
		const {fields} = await loadProfile(join(folder, 'p.yaml'));
		t.deepEqual(fields.debian.packages, []);
		t.is(fields.network, undefined);
	});
});

test('a circle of three is told with its way', async t => {
	const files = {'p.yaml': 'extends: a.yaml\n', 'a.yaml': 'extends: b.yaml\n', 'b.yaml': 'extends: a.yaml\n'};
	t.regex(await faultsOf(files), /b\.yaml:1:10.*a\.yaml -> .*b\.yaml -> .*a\.yaml/);
});

test('a name that is no profile gets the nearest and the list', async t => {
	await t.throwsAsync(findProfile('noed'), {message: /no profile "noed" \(did you mean "node"\?\); there are: .*node/});
	await t.throwsAsync(findProfile('./absent.yaml'), {message: 'there is no profile ./absent.yaml'});
});
