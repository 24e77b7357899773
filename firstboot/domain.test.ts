import {writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {withFolder} from '../builder/folder.ts';
import {run} from '../builder/run.ts';
import {parseSize} from './disks.ts';
import {renderDomain, renderNetwork, renderPool} from './domain.ts';
import {type PlacedDomain, placeDomains, virtualizationSchema} from './virtualization.ts';

const key = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEgcppmhmnOuvEPs/uZFLWyxgq4z5jb03cyQg9Iyc7jY me';
const sha256 = 'a'.repeat(64);
const image = {asset: {file: 'golden.qcow2', sha256}};
const config = virtualizationSchema.parse({
	pools: {images: {path: '/var/lib/libvirt/images'}, fast: {volumeGroup: 'vg0'}},
	networks: {lan: {bridge: 'br0', groups: {iot: {vlan: 30}}}, dmz: {bridge: 'br0', vlan: 40}},
	domains: {
		whole: {
			cpus: 4,
			memory: '8G',
			firmware: 'uefi-secure-boot',
			disks: [
				{pool: 'images', size: '64G', from: image, how: 'backing'},
				{pool: 'fast', size: '10G', from: image},
			],
			networks: [{network: 'lan', addresses: ['192.0.2.11/24']}, {network: 'lan', group: 'iot'}, {network: 'dmz'}],
			boot: ['network', 'disk'],
			seed: {users: [{name: 'admin', sshKeys: [key]}]},
		},
		plain: {cpus: 1, memory: '512M', firmware: 'bios', agent: false, disks: [{pool: 'images', size: '1G'}]},
		uefi: {cpus: 1, memory: '512M', disks: [{pool: 'images', size: '1G'}], networks: [{network: 'lan'}]},
	},
});
const domains = placeDomains(config, '0'.repeat(32));

function render(domain: PlacedDomain, accelerator: 'kvm' | 'tcg' = 'kvm') {
	const seed = domain.seed && `/var/lib/libvirt/seeds/${domain.name}-0123456789ab.img`;
	return renderDomain(domain, {accelerator, memory: parseSize(domain.memory), seed});
}

function find(name: string): PlacedDomain {
	const domain = domains.find(one => one.name === name);
	if (!domain) throw new Error(`the test has no domain ${name}`);
	return domain;
}

/** Debian's own schema says whether libvirt knows every element. */
async function validate(xml: string, schema: string): Promise<string> {
	return withFolder(tmpdir(), async folder => {
		const path = join(folder, 'definition.xml');
		await writeFile(path, xml);
		return run(['virt-xml-validate', path, schema]);
	});
}

for (const {name} of domains)
	for (const accelerator of ['kvm', 'tcg'] as const)
		test(`libvirt's schema takes the domain ${name} under ${accelerator}`, async t => {
			await t.notThrowsAsync(validate(render(find(name), accelerator).xml, 'domain'));
		});

test("libvirt's schema takes networks and pools", async t => {
	for (const [name, network] of Object.entries(config.networks))
		await t.notThrowsAsync(validate(renderNetwork(name, find('plain').uuid, network).xml, 'network'));
	await t.notThrowsAsync(validate(renderPool('images', find('plain').uuid, '/srv/vms'), 'storagepool'));
});

test("libvirt's schema refuses what it does not know", async t => {
	const {xml} = render(find('plain'));
	await t.throwsAsync(validate(xml.replaceAll('vcpu', 'vcpus'), 'domain'));
});

test('text from outside is escaped', t => {
	const {xml} = renderNetwork('a<b', '"&\'', {bridge: 'br0', groups: {}});
	t.regex(xml, /<name>a&#60;b<\/name>/);
	t.regex(xml, /<uuid>&#34;&#38;&#39;<\/uuid>/);
});

test('a definition carries a digest that changes with it, and with nothing else', t => {
	const whole = find('whole');
	const {xml, digest} = render(whole);
	t.true(xml.includes(`>${digest}</bringup:definition>`));
	t.is(render(placeDomains(config, '0'.repeat(32))[0] as PlacedDomain).digest, digest);
	t.not(render({...whole, cpus: 5}).digest, digest);
});

test('MAC addresses and UUIDs come from the machine and the name, and are unlike on another machine', t => {
	const [own, other] = ['0', '1'].map(digit => placeDomains(config, digit.repeat(32)));
	const macs = [...(own ?? []), ...(other ?? [])].flatMap(({links}) => links.map(({mac}) => mac));
	t.true(macs.every(mac => /^52:54:00(:[0-9a-f]{2}){3}$/.test(mac)));
	t.is(new Set(macs).size, macs.length);
	t.regex(own?.[0]?.uuid ?? '', /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
	t.not(own?.[0]?.uuid, other?.[0]?.uuid);
});

test('a link has a name that the kernel takes and that libvirt does not take for one of its own', t => {
	const one = {cpus: 1, memory: '1G', disks: [{pool: 'images', size: '1G'}], networks: [{network: 'lan'}]};
	const names = ['k3s-server-1', 'a-very-long-name-of-a-domain', 'vnet', 'macvtap-1', 'vif'];
	const placed = placeDomains(
		virtualizationSchema.parse({domains: Object.fromEntries(names.map(name => [name, one]))}),
		'0'.repeat(32),
	);
	const devices = placed.map(({links}) => links[0]?.device ?? '');
	t.is(devices[0], 'k3s-server-1-0');
	t.true(devices.every(device => device.length <= 15 && !/^(vnet|vif|macv)/.test(device)));
	t.is(new Set(devices).size, names.length);
});

test('disks boot in their order, and the network only when asked, where asked', t => {
	const orders = (name: string) =>
		[...render(find(name)).xml.matchAll(/<boot order="(\d+)"/g)].map(match => Number(match[1]));
	t.deepEqual(orders('whole'), [9, 10, 1, 2, 3]);
	t.deepEqual(orders('uefi'), [1]);
});
