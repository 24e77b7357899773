import {createHash} from 'node:crypto';
import * as z from 'zod';
import {asset} from './assets.ts';
import {parseSize, size} from './disks.ts';
import {address, cidr, linkName, macAddress} from './links.ts';
import {deriveUuid} from './machine-identity.ts';
import {absolutePath, own, secret} from './phase.ts';
import {userSchema} from './users.ts';

const name = z
	.string()
	.regex(
		/^[a-z][a-z0-9-]{0,62}$/,
		'expected a name: a letter, then lower case letters, digits and -, 63 characters at most',
	);

const vlan = z.int().min(1).max(4094);

const pool = z.union([
	z.strictObject({
		path: absolutePath.describe(
			'a folder, also one on a file system of the section storage; the disks are qcow2 files',
		),
		thin: z
			.boolean()
			.default(false)
			.describe('the disks together may be larger than the file system, as they only take what is written'),
	}),
	z.strictObject({
		volumeGroup: z
			.string()
			.regex(/^(?!\.{1,2}$)[A-Za-z0-9_+.][A-Za-z0-9_+.-]*$/, 'expected the name of a volume group')
			.describe('an LVM volume group; every disk is a logical volume'),
	}),
	z.strictObject({
		dataset: z
			.string()
			.regex(/^[a-z][\w-]*(\/[A-Za-z0-9][\w.-]*)*$/, 'expected a dataset of ZFS such as tank/vms')
			.describe('a dataset of ZFS, or a pool of the section storage; every disk is a volume in it'),
	}),
]);

const network = z.strictObject({
	bridge: linkName.describe('a bridge of the machine, such as br0'),
	vlan: vlan
		.optional()
		.describe('VLAN of the domains on it; without one, the VLAN that the bridge gives to untagged frames'),
	groups: z
		.record(name, z.strictObject({vlan}))
		.default({})
		.describe('port groups: domains in one are in its VLAN; needs Debian 13 and a VLAN-aware bridge'),
});

const disk = z.strictObject({
	pool: name.describe('where it lies: a name of virtualization.pools'),
	size: size.describe('its size; it grows when this grows, and is never made smaller'),
	from: asset.optional().describe('golden image that it is made from; without one, it is empty'),
	how: z
		.enum(['copy', 'backing'])
		.default('copy')
		.describe('`copy` the whole image, or keep it as `backing` and store only what differs (in a folder)'),
	format: z.enum(['qcow2', 'raw']).default('qcow2').describe('the format of the golden image'),
});

const link = z.strictObject({
	network: name.describe('a name of virtualization.networks'),
	group: name.optional().describe('a port group of that network'),
	mac: macAddress.optional().describe('MAC address; without one, made from the machine and the name of the domain'),
	addresses: z
		.array(cidr)
		.default([])
		.describe('static addresses, for the seed and against spoofing; without any, DHCP'),
	gateway: address.optional().describe('default gateway, for static addresses'),
	dns: z.array(address).default([]).describe('name servers'),
	floating: z
		.array(z.union([address, cidr]))
		.default([])
		.describe('further addresses that the domain may send from, such as the virtual IP of a cluster'),
	antiSpoofing: z
		.boolean()
		.default(true)
		.describe(
			"drop what comes from another MAC address, and where `addresses` are given, from others' addresses; and what a router or a DHCP server sends, and frames with a VLAN tag. Link-local addresses are not checked",
		),
});

const domain = z.strictObject({
	cpus: z.int().min(1).max(255),
	memory: size,
	firmware: z.enum(['uefi', 'uefi-secure-boot', 'bios']).default('uefi'),
	disks: z.array(disk).min(1).max(16),
	networks: z.array(link).max(8).default([]),
	boot: z
		.array(z.enum(['disk', 'network']))
		.min(1)
		.default(['disk'])
		.describe('what it boots from, in order'),
	autostart: z.boolean().default(true).describe('libvirt starts it when the machine boots'),
	start: z.boolean().default(true).describe('it is started whenever bringup runs and finds it off'),
	agent: z.boolean().default(true).describe('a channel for the QEMU guest agent'),
	seed: z
		.strictObject({
			hostname: name.optional().describe('the name of the domain, when it is not given'),
			users: z.array(userSchema).min(1).describe('who may log in, as in identity.users'),
			files: z
				.record(
					z
						.string()
						.regex(
							/^(\/(?!\.{1,2}(\/|$))[A-Za-z0-9_.+@-]+)+$/,
							'expected an absolute path such as /etc/motd, without . and ..',
						),
					z.union([z.string(), secret]),
				)
				.default({})
				.describe("root's files that it writes at its first boot, of mode 0600: text, or `{secret: …}`"),
			machine: z
				.record(z.string(), z.unknown())
				.optional()
				.describe(
					'for a golden image of bringup: what is this clone’s own of its profile, put over the image’s by the rules of a merge patch (RFC 7396). With `kubernetes: {role: agent, cluster: home, server: …}` it joins that cluster, and the seed brings what that takes: tokens, authorities, the node password',
				),
		})
		.optional()
		.describe('cloud-init NoCloud seed: host name, users, keys, and the addresses of `networks`'),
});

/** The section `virtualization`. */
export const virtualizationSchema = z
	.strictObject({
		accelerator: z
			.enum(['kvm', 'tcg'])
			.default('kvm')
			.describe('`tcg` emulates the processor, about ten times slower, for machines without hardware virtualization'),
		nested: z.boolean().default(false).describe('domains may run domains of their own'),
		reserve: z
			.strictObject({
				memory: size.default('4G'),
				cpus: z.int().min(0).default(1),
				storage: size.default('10G').describe('of every file system that holds a pool'),
			})
			.prefault({})
			.describe('what the machine keeps for itself'),
		cpuOvercommit: z.number().min(1).default(4).describe('virtual processors on one of the machine'),
		pools: z
			.record(name, pool)
			.default({images: {path: '/var/lib/libvirt/images', thin: false}})
			.describe('where the disks of domains lie'),
		networks: z
			.record(name, network)
			.default({})
			.describe('libvirt networks on bridges of the machine; `default`, the one of libvirt itself, is never started'),
		domains: z
			.record(name, domain)
			.default({})
			.describe(
				'virtual machines. One that leaves the profile is shut down and starts no more; its definition and its disks stay. One that bringup did not make is left alone. Admins need the group libvirt',
			),
	})
	.describe('KVM, libvirt and its domains.');

export type Virtualization = z.output<typeof virtualizationSchema>;
export type Domain = Virtualization['domains'][string];
export type NetworkOfDomains = Virtualization['networks'][string];
type Disk = Domain['disks'][number];
type Link = Domain['networks'][number];

/** A disk of a domain: a file in a folder, a logical volume of a group, or a volume in a dataset. */
export type Volume = {path: string; bytes: number; image: Pick<Disk, 'from' | 'how' | 'format'>} & (
	| {kind: 'file'; folder: string}
	| {kind: 'block'; on: 'lvm' | 'zfs'; parent: string; name: string}
);

/** A link of a domain, with the name that it has on the machine. */
export type PlacedLink = Link & {mac: string; device: string};

/** A domain on one machine: what the profile leaves open is filled in. */
export interface PlacedDomain extends Omit<Domain, 'disks' | 'networks'> {
	name: string;
	uuid: string;
	volumes: readonly Volume[];
	links: readonly PlacedLink[];
}

/** SHA-256 of parts that are kept apart, in hexadecimal. */
export function digestOf(...parts: readonly string[]): string {
	return createHash('sha256').update(JSON.stringify(parts)).digest('hex');
}

function deriveMac(...parts: readonly string[]): string {
	return `52:54:00:${digestOf(...parts)
		.slice(0, 6)
		.replace(/(..)(?=.)/g, '$1:')}`;
}

/** The name of a domain's link on the machine: 15 characters at most, and libvirt takes vnet…, vif… and macv… for names of its own making. */
function nameDevice(domain: string, index: number): string {
	const plain = `${domain}-${index}`;
	return plain.length <= 15 && !/^(vnet|vif|macv)/.test(plain) ? plain : `vm${digestOf(domain).slice(0, 10)}-${index}`;
}

/** The name that a domain's disk has for libvirt. */
export function nameTarget(index: number): string {
	return `vd${String.fromCharCode(97 + index)}`;
}

function placeVolume(config: Virtualization, domain: string, disk: Disk, index: number): Volume {
	const pool = own(config.pools, disk.pool);
	const at = `virtualization.domains.${domain}.disks[${index}]`;
	if (!pool) throw new Error(`${at}.pool: there is no pool ${disk.pool} in virtualization.pools`);
	const name = `${domain}-${index}`;
	// Whole MiB: qemu-img and lvcreate would round another number, each in its own way.
	const common = {bytes: Math.ceil(parseSize(disk.size) / 2 ** 20) * 2 ** 20, image: disk};
	if ('path' in pool) return {...common, kind: 'file', folder: pool.path, path: `${pool.path}/${name}.qcow2`};
	return 'volumeGroup' in pool
		? {...common, kind: 'block', on: 'lvm', parent: pool.volumeGroup, name, path: `/dev/${pool.volumeGroup}/${name}`}
		: {...common, kind: 'block', on: 'zfs', parent: pool.dataset, name, path: `/dev/zvol/${pool.dataset}/${name}`};
}

/** What of a domain stays as libvirt has it defined: its UUID, and the MAC addresses by the names of its links. */
export interface Kept {
	uuid: string;
	macs: ReadonlyMap<string, string>;
}

/** The domains of the profile on the machine with this identity. One that is defined keeps what its guest knows it by. */
export function placeDomains(
	config: Virtualization,
	identity: string,
	kept: ReadonlyMap<string, Kept> = new Map(),
): PlacedDomain[] {
	return Object.entries(config.domains).map(([name, {disks, networks, ...domain}]) => ({
		...domain,
		name,
		uuid: kept.get(name)?.uuid ?? deriveUuid(identity, 'domain', name),
		volumes: disks.map((disk, index) => placeVolume(config, name, disk, index)),
		links: networks.map((link, index) => {
			const device = nameDevice(name, index);
			const mac = link.mac ?? kept.get(name)?.macs.get(device) ?? deriveMac(identity, name, String(index));
			return {...link, mac, device};
		}),
	}));
}
