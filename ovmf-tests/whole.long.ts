import {readFile} from 'node:fs/promises';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import type {Machine} from '../builder/boot/machine.ts';
import {run} from '../builder/run.ts';
import {assertDataKept} from './data-kept.ts';
import {assertHardened} from './hardened.ts';
import {assertRefused} from './held-back.ts';
import {assertLockedOut, change} from './locked-out.ts';
import {makePeer, peerMac} from './peer.ts';
import {
	type Artefact,
	buildIso,
	failure,
	findPort,
	folder,
	listTestDisks,
	makeAssets,
	makeTestDisk,
	makeTestDisks,
	type Setup,
	startFor,
	writeEvidence,
} from './vm.ts';

let whole: Artefact;
let anew: Artefact;
let sshPort = 0;
const macs = ['52:54:00:62:75:01', '52:54:00:62:75:02'] as const;
const socket = join(folder, 'wire.sock');
const sizes = {'NVME-SYSTEM': '20G', LEFT: '3G', RIGHT: '3G', FAST: '6G', EXTRA: '1G'};
const diskPath = (serial: string) => join(folder, `whole-${serial}.qcow2`);
const disks = listTestDisks('whole', sizes);

test.before('the ISO of a machine with every phase', async t => {
	t.timeout(20 * 60_000);
	await makeAssets();
	await makeTestDisks('whole', sizes);
	const raw = await makeTestDisk('precious.img', sizes.EXTRA, 'raw');
	await run(['mkfs.ext4', '-q', '-L', 'precious', raw]);
	await run(['qemu-img', 'convert', '-f', 'raw', '-O', 'qcow2', raw, diskPath('EXTRA')]);
	whole = await buildIso('ovmf-tests/profiles/whole.yaml');
	sshPort = await findPort();
});

const setup = (more: Partial<Setup> = {}): Setup => ({
	name: 'whole',
	firmware: 'uefi-secure-boot',
	memory: 4096,
	disks,
	sshPort,
	wires: [{mac: macs[1], socket, listen: true}],
	...more,
});

/** What the machine says to a command, by whoever logs in. */
const asker =
	(machine: Machine) =>
	(...command: string[]) =>
		machine.run(whole.login, command);

type Ask = ReturnType<typeof asker>;

const page = "fetch('http://127.0.0.1:8080/').then(answer => answer.text()).then(console.log)";

/** What must hold on the machine whenever it is up: each phase by its effect, asked of the program that it is about. */
async function assertInForce(t: ExecutionContext, ask: Ask): Promise<void> {
	const links = JSON.parse(await ask('ip', '-json', '-details', 'address', 'show')) as {
		ifname: string;
		address: string;
		master?: string;
		mtu: number;
		linkinfo?: {info_data?: {vlan_filtering?: number; id?: number; stp_state?: number}};
		addr_info: {local: string}[];
	}[];
	const link = (name: string) => links.find(({ifname}) => ifname === name);
	t.is(link('mgmt')?.master, 'br0');
	t.is(link('trunk')?.master, 'bond0');
	t.is(link('bond0')?.master, 'br0');
	t.is(link('bond0')?.address, macs[1]);
	t.is(link('iot')?.mtu, 1400);
	t.is(link('spare')?.linkinfo?.info_data?.stp_state, 1);
	t.regex(await ask('ip', 'route', 'show', 'dev', 'iot'), /^203\.0\.113\.0\/24 via 198\.51\.100\.60 .*metric 50/m);
	t.regex(await ask('networkctl', 'status', '--no-pager', 'spare'), /30-bringup-spare\.network/);
	t.notRegex(
		await ask('sudo', 'journalctl', '--unit=systemd-networkd', '--boot'),
		/Unknown (key|section)|Failed to parse/,
	);
	t.is(link('br0')?.address, macs[0]);
	t.is(link('br0')?.linkinfo?.info_data?.vlan_filtering, 1);
	t.true(link('br0')?.addr_info.some(({local}) => local === '10.0.2.15'));
	t.is(link('iot')?.linkinfo?.info_data?.id, 30);
	t.true(link('iot')?.addr_info.some(({local}) => local === '198.51.100.1'));
	const ports = JSON.parse(await ask('sudo', 'bridge', '-json', 'vlan', 'show')) as {
		ifname: string;
		vlans: {vlan: number; flags?: string[]}[];
	}[];
	const vlansOf = (name: string) => ports.find(({ifname}) => ifname === name)?.vlans.map(({vlan}) => vlan);
	t.deepEqual(vlansOf('bond0'), [1, 20, 30]);
	t.deepEqual(vlansOf('mgmt'), [1, 30]);
	t.deepEqual(vlansOf('guest-1-0'), [30]);

	const {nftables} = JSON.parse(await ask('sudo', 'nft', '-j', 'list', 'table', 'inet', 'bringup')) as {
		nftables: {chain?: {name: string; policy?: string}}[];
	};
	t.is(nftables.find(({chain}) => chain?.name === 'input')?.chain?.policy, 'drop');

	const mounts = await ask('findmnt', '--list', '--noheadings', '--output', 'TARGET,FSTYPE,LABEL');
	t.regex(mounts, /^\/var\/lib\/libvirt\/images +xfs +images$/m);
	t.regex(mounts, /^\/srv\/scratch +ext4 +scratch$/m);
	t.regex(mounts, /^\/srv\/data +btrfs +data$/m);
	t.regex(await ask('cat', '/proc/mdstat'), /active (\(auto-read-only\) )?raid1 .*\n.*\[2\/2\] \[UU\]/);
	t.regex(await ask('sudo', 'btrfs', 'subvolume', 'list', '/srv/data'), /path photos\n.*path backups/);

	t.regex(await ask('sudo', 'virsh', 'list', '--state-running', '--name'), /^guest-1$/m);
	t.regex(await ask('sudo', 'virsh', 'net-list', '--name'), /^lan\n*$/);

	t.regex(await ask('loginctl', 'show-user', 'apps', '-P', 'Linger'), /yes/);
	t.regex(await ask('node', '-e', page), /^a page from a container$/m);

	t.regex(await ask('sudo', 'k3s', 'kubectl', 'get', 'nodes'), /node-1 +Ready/);
	t.is(await ask('systemctl', '--failed', '--no-legend'), '');
	t.regex(await ask('systemd-analyze', 'security', 'bringup.service', '--no-pager'), /exposure level .*: [0-3]\.\d/);
	t.regex(await ask('sudo', 'sshd', '-T'), /^passwordauthentication no$/m);
}

/** A pod on a bridge as containerd makes it, and a thing in VLAN 30: each in a network namespace, and what reaches what. */
const zones = `
set -e
if ! ip netns list | grep -q pod; then
	sysctl -q net.ipv4.ip_forward=1
	ip link add cni0 type bridge
	ip address add 10.42.0.1/24 dev cni0
	ip link set cni0 up
	ip link add flannel.1 type dummy
	for name in pod thing; do
		ip netns add $name
		ip link add $name-0 type veth peer name eth0 netns $name
		ip link set $name-0 up
		ip -n $name link set eth0 up
	done
	ip link set pod-0 master cni0
	ip link set thing-0 master br0
	bridge vlan del dev thing-0 vid 1
	bridge vlan add dev thing-0 vid 30 pvid untagged
	ip -n pod address add 10.42.0.2/24 dev eth0
	ip -n pod route add default via 10.42.0.1
	ip -n thing address add 198.51.100.60/24 dev eth0
	ip -n thing route add default via 198.51.100.1
fi
try() { if timeout 8 ip netns exec "$@" >/dev/null 2>&1; then echo "$what: yes"; else echo "$what: no"; fi; }
what='a thing reaches its gateway'; try thing ping -c 2 -W 3 198.51.100.1
what='a thing reaches SSH'; try thing nc -z -w 3 198.51.100.1 22
what='a thing reaches a pod'; try thing ping -c 2 -W 3 10.42.0.2
what='a pod reaches the machine'; try pod nc -z -w 3 10.42.0.1 22
what='a pod reaches a thing'; try pod ping -c 2 -W 3 198.51.100.60
`;

async function assertZones(t: ExecutionContext, machine: Machine): Promise<void> {
	t.deepEqual((await machine.run(whole.login, ['sudo', 'bash'], zones)).trim().split('\n'), [
		'a thing reaches its gateway: yes',
		'a thing reaches SSH: no',
		'a thing reaches a pod: no',
		'a pod reaches the machine: yes',
		'a pod reaches a thing: no',
	]);
}

/** Lets a second machine on the same wire try what it may and what it may not. */
async function assertFromOutside(t: ExecutionContext): Promise<void> {
	const text = await readFile(whole.iso.replace(/\.iso$/, '.manifest.json'), 'utf8');
	const kernel = await makePeer(whole.iso, (JSON.parse(text) as {buildId: string}).buildId);
	const wires = [{mac: peerMac, socket, listen: false}];
	const peer = await startFor(t, {name: 'peer', firmware: 'bios', memory: 512, disks: [], wires, kernel});
	await peer.waitFor(/peer: begins/, 180, /Kernel panic/);
	const [said] = await peer.waitFor(/[\s\S]*peer: ends/, 180, /Kernel panic/);
	await peer.cut();
	const lines = said.split('\n').filter(line => line.startsWith('peer: '));
	t.deepEqual(lines, [
		'peer: SSH from the LAN: open',
		'peer: another port from the LAN: shut',
		'peer: page from the LAN: a page from a container',
		'peer: gateway from VLAN 30: answers',
		'peer: SSH from VLAN 30: shut',
		'peer: page from VLAN 30: shut',
		'peer: gateway from VLAN 20: silence',
		'peer: gateway from VLAN 99: silence',
		'peer: ends',
	]);
}

test.serial('every phase of the shipped profiles, on one machine, in one unattended run', async t => {
	t.timeout(60 * 60_000);
	const machine = await startFor(t, setup({cdrom: whole.iso}));
	const ask = asker(machine);
	const began = Date.now();
	const stage = (text: string) => t.log(`${((Date.now() - began) / 1000).toFixed(0)} s: ${text}`);
	await machine.waitFor(/bringup: install done/, 1200, failure);
	stage('install done');
	await machine.waitFor(/bringup: provision of profile whole/, 600, failure);
	stage('provision begins');
	const [summary] = await machine.waitFor(/bringup: provision done.*/, 1500, failure);
	stage(summary);
	await writeEvidence('whole-first-boot.json', await ask('bringup', 'status', '--json'));
	await assertInForce(t, ask);
	await assertHardened(t, ask);
	stage('in force, asked from inside');
	await assertZones(t, machine);
	await assertFromOutside(t);
	stage('in force, asked from outside');

	await ask('sudo', 'systemctl', 'restart', 'nftables', 'libvirtd');
	await assertInForce(t, ask);
	await assertZones(t, machine);
	t.regex(await ask('sudo', 'bringup', 'plan'), /^(\S+: nothing to do\n)+$/);
	stage('in force after nftables and libvirtd have started anew');

	await ask('sudo', 'cp', '/etc/hostname', '/srv/data/photos/one');
	await ask('sync');
	// Of the first port only: a bridge whose VLAN no port carries is a fault, and the machine would not try it.
	await ask('sudo', 'sed', '--in-place', '0,/"pvid": 1,/s/"pvid": 1,/"pvid": 99,/', '/etc/bringup/machine.json');
	await ask('sudo', 'systemctl', 'restart', '--no-block', 'bringup');
	await machine.waitFor(/bringup: give the change up: (.*)/, 400);
	await machine.waitFor(/bringup: end the trial/, 60);
	stage('a network that lost the machine was taken back');
	t.regex(
		await ask('sudo', 'cat', '/var/lib/bringup/trial/rejected-network.json'),
		/"reason":"(br0 has |the controller )/,
	);
	await change(ask, '"pvid": 99,', '"pvid": 1,');
	await machine.waitFor(/bringup: provision done.*/, 300);
	await assertLockedOut(t, machine, ask);
	stage('a firewall and keys that lock everybody out were taken back');

	await assertRefused(t, machine, whole.login);
	stage('a disk with foreign data was refused, and the rest went on');
	await assertDataKept(t, machine, whole.login);
	stage('a volume that was not active was activated, and an array that had lost a member was told');
	await machine.cut();
	t.regex(await run(['qemu-img', 'compare', diskPath('EXTRA'), join(folder, 'precious.img')]), /identical/);
});

test.serial('after the power was cut nothing is left to do, and all of it holds', async t => {
	t.timeout(20 * 60_000);
	const machine = await startFor(t, setup({again: true}));
	const [summary] = await machine.waitFor(/bringup: provision done.*/, 900, failure);
	t.regex(summary, /provision done; nothing to do; nothing left; br0 10\.0\.2\.15/);
	const began = await machine.run(whole.login, [
		'systemctl',
		'show',
		'-P',
		'InactiveExitTimestampMonotonic',
		'bringup-snapshot',
	]);
	t.is(began, '0\n', 'it started from its snapshot, and so made none');
	await writeEvidence('whole-second-boot.json', await machine.run(whole.login, ['bringup', 'status', '--json']));
	await assertInForce(t, asker(machine));
	t.regex(await machine.run(whole.login, ['cat', '/srv/data/photos/one']), /node-1/);
	// Nothing runs in it that could be asked to stop, and libvirt would wait for it five minutes.
	await machine.run(whole.login, ['sudo', 'virsh', 'destroy', 'guest-1']);
	await machine.powerOff(180);
});

test.serial('installed anew, the machine keeps its data disks', async t => {
	t.timeout(30 * 60_000);
	anew = await buildIso('ovmf-tests/profiles/anew.yaml');
	const machine = await startFor(t, setup({cdrom: anew.iso, cdromFirst: true}));
	await machine.waitFor(/erase .*wipe: same-machine/, 600, failure);
	await machine.waitFor(/bringup: install done/, 1200, failure);
	await machine.waitFor(/bringup: provision done.*/, 1500, failure);
	const ask = (...command: string[]) => machine.run(anew.login, command);
	t.regex(await ask('cat', '/srv/data/photos/one'), /node-1/);
	t.regex(await ask('date', '+%Z'), /^CES?T$/m);
	const serial = await machine.readSerial();
	t.false(/phase (data-disks|arrays|groups|filesystems) .*: (partition|erase|make (?!it durable))/.test(serial));
	await ask('sudo', 'userdel', 'recovery');
	await machine.powerOff(180);
});

test.serial('with half of the mirror gone the recovery account is made, and all that does not lie on it', async t => {
	t.timeout(20 * 60_000);
	const rest = disks.filter(({serial}) => serial !== 'RIGHT');
	const machine = await startFor(t, setup({again: true, disks: rest}));
	const [summary] = await machine.waitFor(/bringup: provision failed.*/, 900, /Kernel panic|emergency mode/);
	t.regex(summary, /did (.*, )?recovery \(\d+\).*; failed in data-disks; held back arrays/);
	const ask = (...command: string[]) => machine.run(anew.login, command);
	t.regex(await ask('sudo', 'grep', '^recovery:', '/etc/shadow'), /^recovery:\$/m);
	t.regex(await ask('sudo', 'nft', 'list', 'chain', 'inet', 'bringup', 'input'), /policy drop/);
	t.is((await ask('systemctl', 'is-active', 'fail2ban')).trim(), 'active');
	t.regex(await ask('findmnt', '--list', '--noheadings', '--output', 'TARGET'), /^\/srv\/scratch$/m);
	t.regex(await ask('systemctl', '--failed', '--no-legend'), /bringup\.service/);
	await machine.powerOff(180);
});
