import type {Definition} from './domain.ts';
import {listBelow} from './listing.ts';
import {type Command, type Probe, planFile, readUnit, type Step, type Unit} from './phase.ts';
import type {Kept} from './virtualization.ts';

/** Where libvirt keeps what is defined: also at the next boot. */
export const defined = {
	domain: '/etc/libvirt/qemu',
	network: '/etc/libvirt/qemu/networks',
	pool: '/etc/libvirt/storage',
};

/** Where libvirt keeps what is there now: running or active. */
export const active = {domain: '/run/libvirt/qemu', network: '/run/libvirt/network'};

/** What libvirt defines. */
export type Kind = keyof typeof defined;

/** The state of libvirt's units, and the paths of its XML files: no daemon has to start to be asked. */
export interface Libvirt {
	units: ReadonlyMap<string, Unit>;
	/** Whether its daemon answers, or starts to do so. */
	isListening: boolean;
	files: ReadonlySet<string>;
}

const units = ['libvirtd.service', 'libvirtd.socket', 'libvirt-guests.service'] as const;
const listensOn = 'libvirtd.socket';

/** A step that runs a program. */
export function run(command: Command, why: string, stdin?: string): Step {
	return {do: 'run', command, why, ...(stdin === undefined ? {} : {stdin})};
}

async function listFiles(probe: Probe): Promise<Set<string>> {
	const below = [await listBelow(probe, '/etc/libvirt', 4), await listBelow(probe, '/run/libvirt', 2)];
	return new Set(below.flatMap(found => [...found.keys()]).filter(path => path.endsWith('.xml')));
}

/** Reads libvirt's state; `wanted` are the paths of what shall be there now. */
export async function readLibvirt(wanted: readonly string[], probe: Probe): Promise<Libvirt> {
	const states = new Map(await Promise.all(units.map(async unit => [unit, await readUnit(probe, unit)] as const)));
	const files = await listFiles(probe);
	const isListening = states.get(listensOn)?.active ?? false;
	if (!isListening || wanted.every(path => files.has(path))) return {units: states, isListening, files};
	// Right after a boot libvirtd may still be starting what has autostart. It answers only when that is done.
	await probe.output(['virsh', '--quiet', 'list', '--name']);
	return {units: states, isListening, files: await listFiles(probe)};
}

/** The steps to the daemon. It leaves when it is idle and comes back with its socket, so only the socket must be active. */
export async function planDaemon(libvirt: Libvirt, probe: Probe): Promise<Step[]> {
	const wrong = units.filter(unit => {
		const state = libvirt.units.get(unit);
		return !state?.enabled || (unit === listensOn && !state.active);
	});
	const steps = wrong.length > 0 ? [run(['systemctl', 'enable', '--now', ...wrong], 'start libvirt')] : [];
	const path = '/etc/libvirt/network.conf';
	if ((await probe.read(path)) === undefined) return steps; // Debian 12: its libvirt has no backend to choose
	const file = await planFile(probe, path, 'firewall_backend = "nftables"\n', 'let libvirt use nftables, not iptables');
	// It reads the file when it starts: stopped before the write, it cannot go on with the old one. Domains go on without it.
	const stop = run(['systemctl', 'stop', 'libvirtd.service'], 'stop libvirtd; it starts again when it is asked');
	return [...steps, ...(file.length > 0 ? [stop, ...file] : [])];
}

/** The UUIDs of ours are of version 8, which no other program makes. */
const ownUuid = /<uuid>([0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12})<\/uuid>/;

/** The UUID that libvirt has for an object of ours; undefined of others. */
export function findOwnUuid(definition: string | undefined): string | undefined {
	return ownUuid.exec(definition ?? '')?.[1];
}

/** Reads the definition of an object, or undefined. Throws when it is not ours. */
export async function readDefinition(
	kind: Kind,
	name: string,
	{files}: Libvirt,
	probe: Probe,
): Promise<string | undefined> {
	const path = `${defined[kind]}/${name}.xml`;
	const current = files.has(path) ? await probe.read(path) : undefined;
	if (current === undefined || findOwnUuid(current) !== undefined) return current;
	const verb = {domain: 'undefine', network: 'net-undefine', pool: 'pool-undefine'}[kind];
	throw new Error(
		`there is a ${kind} ${name} that bringup did not make; give it another name in virtualization.${kind}s, or remove it (virsh ${verb} ${name})`,
	);
}

/** What of a domain stays as its definition has it. */
export function readKept(definition: string): Kept | undefined {
	const uuid = findOwnUuid(definition);
	if (uuid === undefined) return undefined;
	const links = [...definition.matchAll(/<interface[ >][\s\S]*?<\/interface>/g)].flatMap(([link]) => {
		const mac = /<mac address=['"]([0-9a-f:]{17})['"]/i.exec(link)?.[1]?.toLowerCase();
		const device = /<target dev=['"]([^'"]+)['"]/.exec(link)?.[1];
		return mac && device ? [[device, mac] as const] : [];
	});
	return {uuid, macs: new Map(links)};
}

/** The steps that define an object. virsh opens its file by name, and what Node gives a program as standard input has none. */
export function define(kind: Kind, name: string, xml: string, why: string): Step[] {
	const path = `/run/bringup/libvirt/${kind}-${name}.xml`;
	const verb = {domain: 'define', network: 'net-define', pool: 'pool-define'}[kind];
	return [
		{do: 'write', path, content: `${xml}\n`, mode: 0o600, why: `write what libvirt shall know of the ${kind} ${name}`},
		run(['virsh', verb, '--validate', path], why),
	];
}

/** The steps to a network: defined, active, and active again after a boot. No domain hangs on it while it runs, so it may be started anew. */
export async function planNetwork(
	name: string,
	render: (uuid: string | undefined) => Definition,
	libvirt: Libvirt,
	probe: Probe,
): Promise<Step[]> {
	const definition = await readDefinition('network', name, libvirt, probe);
	const {xml, digest} = render(findOwnUuid(definition));
	const path = `${active.network}/${name}.xml`;
	const current = libvirt.files.has(path) ? await probe.read(path) : undefined;
	const steps: Step[] = [];
	if (!definition?.includes(digest)) steps.push(...define('network', name, xml, `define the network ${name}`));
	if (current !== undefined && !current.includes(digest))
		steps.push(run(['virsh', 'net-destroy', name], `stop the network ${name}, which changed; domains go on`));
	if (!current?.includes(digest)) steps.push(run(['virsh', 'net-start', name], `start the network ${name}`));
	if (!libvirt.files.has(`${defined.network}/autostart/${name}.xml`))
		steps.push(run(['virsh', 'net-autostart', name], `start the network ${name} at every boot`));
	return steps;
}

/**
 * The steps to a pool that is a folder. libvirt writes no file for a pool that it started by itself, so whether one is
 * active is asked only when its last step, autostart, is missing. A pool is a view: its disks are untouched by all of this.
 */
export async function planPool(
	{name, path, render}: {name: string; path: string; render: (uuid: string | undefined) => string},
	libvirt: Libvirt,
	probe: Probe,
): Promise<Step[]> {
	const definition = await readDefinition('pool', name, libvirt, probe);
	const right = definition?.includes(`<path>${path}</path>`);
	if (right && libvirt.files.has(`${defined.pool}/autostart/${name}.xml`)) return [];
	const names = libvirt.isListening ? await probe.output(['virsh', '--quiet', 'pool-list', '--name']) : '';
	const isActive = names.split('\n').some(line => line.trim() === name);
	const steps: Step[] = [];
	if (isActive && !right) steps.push(run(['virsh', 'pool-destroy', name], `stop the pool ${name}; its disks stay`));
	if (definition !== undefined && !right)
		steps.push(run(['virsh', 'pool-undefine', name], `forget where the pool ${name} was; its disks stay`));
	if (!right) steps.push(...define('pool', name, render(findOwnUuid(definition)), `define the pool ${name}`));
	if (!isActive || !right) steps.push(run(['virsh', 'pool-start', name], `start the pool ${name}`));
	return [...steps, run(['virsh', 'pool-autostart', name], `start the pool ${name} at every boot`)];
}

/** The steps that keep the network off that libvirt's package brings. */
export function planDefaultNetwork({files}: Libvirt): Step[] {
	const steps: Step[] = [];
	if (files.has(`${defined.network}/autostart/default.xml`))
		steps.push(run(['virsh', 'net-autostart', '--disable', 'default'], "keep libvirt's own network off"));
	if (files.has(`${active.network}/default.xml`))
		steps.push(run(['virsh', 'net-destroy', 'default'], "stop libvirt's own network"));
	return steps;
}
