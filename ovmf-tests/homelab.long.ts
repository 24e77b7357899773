import {mkdir, readFile, rm, stat, writeFile} from 'node:fs/promises';
import {join, resolve} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import test, {type ExecutionContext} from 'ava';
import {parse} from 'yaml';
import type {Machine} from '../builder/boot/machine.ts';
import {run} from '../builder/run.ts';
import {cacheEnv, digestDisk, evidence, failure, findPort, folder, makeAssets, makeTestDisk, startFor} from './vm.ts';
import {askOn, leasesOf, makeWire, startDhcp, type Wire} from './wire.ts';

interface Domain {
	cpus: number;
	memory: string;
	disks: {size: string}[];
}

const home = join(folder, 'homelab-home');
const login = {user: 'admin', key: join(home, '.ssh/id_ed25519')};
const profile = join(folder, 'homelab.yaml');
const iso = join(folder, 'homelab.iso');
const disk = join(folder, 'homelab.img');
const own = (name: string) => ({disk: join(folder, `${name}.qcow2`), seed: join(folder, `${name}-seed.iso`)});
const image = (name: string) => join(folder, `k3s-${name.startsWith('control') ? 'server' : 'agent'}-vm.qcow2`);
const gib = (size: string) => Number(size.replace('G', '')) * 2 ** 30;
const macs = new Map<string, string>();
const uuids = new Map<string, string>();
let domains: [name: string, domain: Domain][] = [];

const bringup = (...words: string[]) =>
	run(['node', 'dist/builder/cli.js', ...words], {env: {HOME: home, ...cacheEnv}});

/** The shipped profile, with baked images in the place of those that it names, on a machine that emulates its domains. */
async function writeProfiles(): Promise<void> {
	const shipped = await readFile('profiles/homelab.yaml', 'utf8');
	domains = Object.entries(
		(parse(shipped) as {virtualization: {domains: Record<string, Domain>}}).virtualization.domains,
	);
	const fetched = /url: \S+\/(\S+\.qcow2).*\n +sha256: .*\n +delivery: .*/g;
	const text = shipped
		.replace('extends: node.yaml', `extends: ${resolve('profiles/node.yaml')}`)
		.replace(fetched, (_, name) => `file: ${join(folder, name)}`);
	await writeFile(join(folder, 'homelab-images.yaml'), text);
	const changes = [
		...['schema: 1', 'extends: homelab-images.yaml', 'install: {disk: {serial: NVME-SYSTEM}}'],
		'virtualization: {accelerator: tcg}',
	];
	await writeFile(profile, `${changes.join('\n')}\n`);
}

test.before('the images of a K3s server and of an agent, and the medium of a machine that clones them', async t => {
	t.timeout(120 * 60_000);
	await makeAssets();
	await rm(home, {recursive: true, force: true});
	await mkdir(join(home, '.ssh'), {recursive: true});
	await run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', '', '-f', login.key]);
	for (const name of ['k3s-server-vm', 'k3s-agent-vm'])
		await bringup('bake', '--profile', `ovmf-tests/profiles/${name}.yaml`, '--out', join(folder, name));
	await writeProfiles();
	await bringup('build-iso', '--profile', profile, '--out', iso);
});

interface SfdiskTable {
	partitiontable: {sectorsize: number; partitions: {start: number; name?: string}[]};
}

/** The content of a file of the machine that is off, read where it lies. */
async function takeFile(path: string, to: string): Promise<void> {
	const {partitiontable} = JSON.parse(await run(['sfdisk', '--json', disk])) as SfdiskTable;
	const root = partitiontable.partitions.find(({name}) => name === 'bringup-root');
	if (!root) throw new Error(`${disk} has no partition bringup-root`);
	await rm(to, {force: true});
	await run(['debugfs', '-R', `dump "${path}" "${to}"`, `${disk}?offset=${root.start * partitiontable.sectorsize}`]);
	await stat(to); // debugfs says nothing when it has not found it
}

/** What libvirt says of a domain is what the profile says. */
async function assertSized(t: ExecutionContext, machine: Machine, name: string, domain: Domain): Promise<void> {
	const virsh = (...words: string[]) => machine.run(login, ['sudo', 'virsh', ...words]);
	const info = await virsh('dominfo', name);
	t.regex(info, /^State: +running$/m);
	t.regex(info, new RegExp(`^CPU\\(s\\): +${domain.cpus}$`, 'm'));
	t.regex(info, new RegExp(`^Max memory: +${gib(domain.memory) / 1024} KiB$`, 'm'));
	t.regex(info, /^Autostart: +enable$/m);
	const size = gib(domain.disks[0]?.size ?? '');
	t.regex(await virsh('domblkinfo', name, 'vda'), new RegExp(`^Capacity: +${size}$`, 'm'));
	const [mac = ''] = /52:54:00(:[0-9a-f]{2}){3}/.exec(await virsh('domiflist', name)) ?? [];
	macs.set(name, mac);
	uuids.set(name, (await virsh('domuuid', name)).trim());
}

test.serial(
	'a machine of the shipped profile has three domains, clones of the images, of the sizes it says',
	async t => {
		t.timeout(150 * 60_000);
		await makeTestDisk('homelab.img', '400G', 'raw');
		const machine = await startFor(t, {
			name: 'homelab',
			firmware: 'uefi-secure-boot',
			memory: 48 * 1024,
			overcommit: true,
			cpus: 4,
			disks: [{path: disk, format: 'raw', bus: 'nvme', serial: 'NVME-SYSTEM', unsafe: true}],
			cdrom: iso,
			sshPort: await findPort(),
		});
		const began = Date.now();
		const stage = (text: string) => t.log(`${((Date.now() - began) / 1000).toFixed(0)} s: ${text}`);
		await machine.waitFor(/bringup: install done/, 1200, failure);
		stage('install done');
		const [summary] = await machine.waitFor(/bringup: provision done.*/, 2400, failure);
		stage(summary);
		for (const [name, domain] of domains) await assertSized(t, machine, name, domain);

		// The workstation makes the very seed that the machine has made: its name says the digest of its content.
		const machineId = (await machine.run(login, ['sudo', 'cat', '/sys/class/dmi/id/product_uuid'])).trim();
		const seeds = await machine.run(login, ['sudo', 'ls', '/var/lib/libvirt/seeds']);
		for (const [name] of domains) {
			const given = ['--profile', profile, '--domain', name, '--machine-id', machineId];
			await bringup('seed', ...given, '--out', own(name).seed);
			await bringup('seed', ...given, '--out', `${folder}/${name}-seed/`);
			const meta = JSON.parse(await readFile(join(folder, `${name}-seed/meta-data`), 'utf8')) as Record<string, string>;
			t.regex(seeds, new RegExp(`^${meta['instance-id']}\\.img$`, 'm'));
		}

		// Emulated by an emulated machine, a domain is slow: its kernel is seen to start, and its power is cut.
		const started = new Set<string>();
		for (const end = Date.now() + 60 * 60_000; started.size < domains.length; await sleep(5000)) {
			if (Date.now() > end) throw new Error(`after an hour only these have started: ${[...started].join(', ')}`);
			for (const [name] of domains.filter(([name]) => !started.has(name))) {
				const said = await machine.run(login, ['sudo', 'cat', `/var/log/libvirt/qemu/${name}-serial.log`]);
				if (!said.includes('Linux version')) continue;
				started.add(name);
				stage(`the kernel of ${name} starts`);
				await machine.run(login, ['sudo', 'virsh', 'destroy', name]);
			}
		}
		await machine.powerOff(300);
		await mkdir(evidence, {recursive: true});
		for (const [name] of domains)
			await takeFile(`/var/log/libvirt/qemu/${name}-serial.log`, join(evidence, `${name}.log`));
	},
);

/** Where a node of each kind has what kubectl needs. */
const kubeconfig = (name: string) =>
	name.startsWith('control') ? [] : ['--kubeconfig=/var/lib/rancher/k3s/agent/kubelet.kubeconfig'];

/** Starts a clone on the wire, with its own card and the seed. */
const startClone = (t: ExecutionContext, wire: Wire, name: string): Promise<Machine> =>
	startFor(t, {
		name: `homelab-${name}`,
		firmware: 'uefi',
		cpus: 1,
		mac: macs.get(name) ?? '',
		uuid: uuids.get(name) ?? 'none',
		disks: [{path: own(name).disk, format: 'qcow2', bus: 'virtio', serial: 'disk-0', bootIndex: 0}],
		cdrom: own(name).seed,
		tap: {namespace: wire.namespace, device: name},
	});

/** Waits until a clone is provisioned, and gives its address: that of its lease, or the one that the profile gives. */
async function waitForClone(t: ExecutionContext, wire: Wire, name: string, machine: Machine): Promise<string> {
	const began = Date.now();
	await machine.waitFor(/bringup: provision done.*/, 1800, failure);
	const leases = await readFile(leasesOf(wire), 'utf8');
	const mac = macs.get(name) ?? 'none';
	const address =
		leases
			.split('\n')
			.find(line => line.includes(mac))
			?.split(' ')[2] ?? '192.0.2.11';
	t.log(`${((Date.now() - began) / 1000).toFixed(0)} s: ${name} is provisioned, at ${address}`);
	return address;
}

test.serial('the disks and seeds of these domains, on one wire, become the cluster', async t => {
	t.timeout(90 * 60_000);
	const wire = await makeWire(
		'homelab',
		domains.map(([name]) => name),
	);
	const dhcp = await startDhcp(wire);
	t.teardown(async () => {
		dhcp.kill('SIGTERM');
		await dhcp.ended;
		await wire.remove();
	});
	for (const [name] of domains) {
		const [path, base] = [own(name).disk, join(folder, 'base.qcow2')];
		await takeFile(`/var/lib/libvirt/images/${name}-0.qcow2`, path);
		const {'full-backing-filename': backing = ''} = JSON.parse(
			await run(['qemu-img', 'info', '-U', '--output=json', path]),
		) as Record<string, string>;
		await takeFile(backing, base);
		t.is(await digestDisk(base), await digestDisk(image(name)));
		await rm(base);
		await run(['qemu-img', 'rebase', '-u', '-f', 'qcow2', '-F', 'qcow2', '-b', image(name), path]);
	}

	const ask = (address: string, ...command: string[]) => askOn(wire, login, address, command);
	const assertClone = async (name: string, address: string) => {
		t.is((await ask(address, 'hostname')).trim(), name);
		t.regex(
			await ask(address, 'sudo', 'k3s', 'kubectl', ...kubeconfig(name), 'get', 'nodes'),
			new RegExp(`${name} Ready`),
		);
		const size = gib(domains.find(([other]) => other === name)?.[1].disks[0]?.size ?? '');
		const blocks = Number(await ask(address, 'stat', '--file-system', '--format=%b', '/'));
		t.true(blocks * 4096 > size * 0.9, `the file system of ${name} has ${blocks} blocks`);
		t.is(await ask(address, 'systemctl', '--failed', '--no-legend'), '');
	};
	const control = await startClone(t, wire, 'control-1');
	await assertClone('control-1', await waitForClone(t, wire, 'control-1', control));
	const worker = await startClone(t, wire, 'worker-1');
	await assertClone('worker-1', await waitForClone(t, wire, 'worker-1', worker));
	await worker.powerOff(300);

	const second = await startClone(t, wire, 'worker-2');
	await assertClone('worker-2', await waitForClone(t, wire, 'worker-2', second));
	await second.cut();
	// Made anew of the image, as of a newer one: the cluster knows it by the password of its node.
	const overlay = ['-f', 'qcow2', '-F', 'qcow2', '-b', image('worker-2'), own('worker-2').disk, '128G'];
	await run(['qemu-img', 'create', '-q', ...overlay]);
	const anew = await startClone(t, wire, 'worker-2');
	await assertClone('worker-2', await waitForClone(t, wire, 'worker-2', anew));
	t.deepEqual(
		(await ask('192.0.2.11', 'sudo', 'ls', '/var/lib/rancher/k3s/server/stand-in-nodes')).trim().split('\n'),
		['control-1', 'worker-1', 'worker-2'].map(name => `${name}.node-password.k3s`),
	);
	await anew.powerOff(300);
	await control.powerOff(300);
});
