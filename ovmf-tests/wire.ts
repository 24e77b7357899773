import {mkdir, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import type {Login} from '../builder/boot/machine.ts';
import {run, type Started, start} from '../builder/run.ts';
import {cacheEnv, folder} from './vm.ts';

/** A wire of a test's own: a bridge in a network namespace, with a tap for each machine; the workstation is 192.0.2.1. */
export interface Wire {
	namespace: string;
	/** The command as it runs on this workstation, but on that wire. */
	on(...command: string[]): [string, ...string[]];
	remove(): Promise<void>;
}

/** Makes a wire; needs root. */
export async function makeWire(name: string, taps: readonly string[]): Promise<Wire> {
	const namespace = `bringup-${name}-${process.pid}`;
	const ip = (...args: string[]) => run(['ip', '-netns', namespace, ...args]);
	await run(['ip', 'netns', 'add', namespace]);
	await ip('link', 'add', 'wire', 'type', 'bridge');
	await ip('address', 'add', '192.0.2.1/24', 'dev', 'wire');
	for (const device of taps) {
		await ip('tuntap', 'add', device, 'mode', 'tap');
		await ip('link', 'set', device, 'master', 'wire', 'up');
	}
	await ip('link', 'set', 'wire', 'up');
	await ip('link', 'set', 'lo', 'up');
	return {
		namespace,
		on: (...command) => ['ip', 'netns', 'exec', namespace, ...command],
		remove: async () => void (await run(['ip', 'netns', 'delete', namespace])),
	};
}

/** Where the netboot tree of a test's profile is. */
export const treeOf = (profile: string) => join(folder, `${profile}-pxe`);

/** How to log in to what it installs. */
export const loginOf = (profile: string): Login => ({user: 'admin', key: `${treeOf(profile)}.ssh-key`});

/** Makes the netboot tree of a test's profile, for a person without an SSH key. */
export async function buildTree(profile: string): Promise<void> {
	const home = join(folder, 'home');
	await mkdir(home, {recursive: true});
	const env = {HOME: home, ...cacheEnv};
	const build = ['build-pxe', '--profile', `ovmf-tests/profiles/${profile}.yaml`, '--out', treeOf(profile)];
	await run(['npm', 'run', 'bringup', '--', ...build], {env});
}

/** What the DHCP server of a wire has given: a line each, with MAC address and address (dnsmasq's own). */
export const leasesOf = ({namespace}: Wire) => join(folder, `${namespace}.conf.leases`);

/** The DHCP server that a network has anyway; told of no tree, it knows nothing of booting. */
export async function startDhcp(wire: Wire, tree?: string): Promise<Started> {
	const file = join(folder, `${wire.namespace}.conf`);
	const boot = [
		...['enable-tftp', `tftp-root=${tree}`, 'dhcp-match=set:efi,option:client-arch,7'],
		...['dhcp-boot=tag:efi,bootx64.efi,,192.0.2.1', 'dhcp-boot=tag:!efi,bringup.pxe,,192.0.2.1'],
	];
	const lines = [
		...['port=0', 'interface=wire', 'bind-interfaces', 'no-hosts', 'no-resolv', 'user=root', 'log-dhcp'],
		...['dhcp-range=192.0.2.100,192.0.2.150,255.255.255.0,1h', `dhcp-leasefile=${leasesOf(wire)}`],
		...(tree === undefined ? [] : boot),
	];
	await writeFile(file, `${lines.join('\n')}\n`);
	return start(wire.on('dnsmasq', '--keep-in-foreground', '--log-facility=-', `--conf-file=${file}`));
}

/** Runs a program on a machine of the wire. */
export function askOn(wire: Wire, login: Login, address: string, command: readonly string[]): Promise<string> {
	const settings = ['StrictHostKeyChecking=no', 'UserKnownHostsFile=/dev/null', 'BatchMode=yes', 'LogLevel=ERROR'];
	const options = settings.flatMap(setting => ['-o', setting]);
	return run(wire.on('ssh', '-i', login.key, ...options, `${login.user}@${address}`, ...command));
}

/** A computer of a wire that is only a network card in a namespace of its own, with an address of its own. */
export interface Client {
	/** The command as it runs there. */
	on(...command: string[]): [string, ...string[]];
	remove(): Promise<void>;
}

/** Puts a computer onto a wire; needs root. */
export async function addClient(wire: Wire, name: string, mac: string, address: string): Promise<Client> {
	const namespace = `${wire.namespace}-${name}`;
	await run(['ip', 'netns', 'add', namespace]);
	const peer = ['peer', 'name', 'eth0', 'address', mac, 'netns', namespace];
	await run(['ip', '-netns', wire.namespace, 'link', 'add', name, 'type', 'veth', ...peer]);
	await run(['ip', '-netns', wire.namespace, 'link', 'set', name, 'master', 'wire', 'up']);
	await run(['ip', '-netns', namespace, 'address', 'add', `${address}/24`, 'dev', 'eth0']);
	await run(['ip', '-netns', namespace, 'link', 'set', 'eth0', 'up']);
	return {
		on: (...command) => ['ip', 'netns', 'exec', namespace, ...command],
		remove: async () => void (await run(['ip', 'netns', 'delete', namespace])),
	};
}
