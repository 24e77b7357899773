import {chooseLinks, type IpLink, type Link, type Network, type networkSchema, readIpLinks} from '../links.ts';
import {listChangedLinks, planNetdev, readNetworkFiles, restartNetworkd} from '../netdev.ts';
import {formatNetwork, isVlanAware, networkFolder} from '../networkd.ts';
import {type Phase, type Probe, planFile, planService, type Step} from '../phase.ts';
import {finishedPath, planTrial, readTrial} from '../trial.ts';

type Files = ReadonlyMap<string, string>;

const isOurs = (name: string) => name.includes('-bringup-');

function planFiles(wanted: Files, found: Files): Step[] {
	const write = [...wanted].filter(([name, content]) => found.get(name) !== content);
	const remove = [...found.keys()].filter(name => isOurs(name) && !wanted.has(name));
	return [
		...write.map(([name, content]): Step => {
			const path = `${networkFolder}/${name}`;
			return {do: 'write', path, content, mode: 0o644, why: `write ${path}`};
		}),
		...remove.map((name): Step => {
			const path = `${networkFolder}/${name}`;
			return {do: 'run', command: ['rm', '--force', path], why: `remove ${path}`};
		}),
	];
}

/** All by way of free names: two links may change theirs with each other. */
function planRenames(config: Network, chosen: ReadonlyMap<string, Link>): Step[] {
	const pairs = Object.keys(config.links).flatMap(role => {
		const link = chosen.get(role);
		return link && link.name !== role ? [{link, role}] : [];
	});
	const taken = pairs.some(({role}) => pairs.some(({link}) => link.name === role));
	const rename = (from: string, to: string, why: string): Step => {
		return {do: 'run', command: ['ip', 'link', 'set', 'dev', from, 'name', to], why};
	};
	return [
		...pairs.map(({link}): Step => {
			const command = ['ip', 'link', 'set', 'dev', link.name, 'down'] as const;
			return {do: 'run', command, why: `take ${link.name} down to rename it`};
		}),
		...(taken ? pairs.map(({link}, at) => rename(link.name, `bringup${at}`, `free the name ${link.name}`)) : []),
		...pairs.map(({link, role}, at) =>
			rename(taken ? `bringup${at}` : link.name, role, `name ${link.name} (${link.mac}) ${role}`),
		),
	];
}

/** Every link that is a port of another, with that other. */
function listPorts({bonds, bridges}: Network): [port: string, master: string][] {
	return [
		...Object.entries(bonds).flatMap(([bond, {links}]) => links.map((link): [string, string] => [link, bond])),
		...Object.entries(bridges).flatMap(([bridge, {ports}]) =>
			Object.keys(ports).map((link): [string, string] => [link, bridge]),
		),
	];
}

/** Whether the kernel has every link of the profile, each where it belongs. */
function isInForce(network: Network, links: readonly IpLink[]): boolean {
	const find = (name: string) => links.find(({ifname}) => ifname === name);
	const kindOf = (name: string) => find(name)?.linkinfo?.info_kind;
	const data = (name: string) => find(name)?.linkinfo?.info_data;
	return (
		listPorts(network).every(([port, master]) => find(port)?.master === master) &&
		Object.keys(network.links).every(find) &&
		Object.entries(network.bonds).every(([name, {mode}]) => kindOf(name) === 'bond' && data(name)?.['mode'] === mode) &&
		Object.keys(network.bridges).every(
			name => kindOf(name) === 'bridge' && data(name)?.['vlan_filtering'] === Number(isVlanAware(network, name)),
		) &&
		Object.entries(network.vlans).every(([name, {id}]) => kindOf(name) === 'vlan' && data(name)?.['id'] === id)
	);
}

async function planNetworkd(probe: Probe, anew: boolean): Promise<Step> {
	const [start] = await planService(probe, 'systemd-networkd.service', 'start networkd');
	if (start) return start;
	return anew
		? restartNetworkd
		: {do: 'run', command: ['networkctl', 'reload'], why: 'let networkd read its files again'};
}

function planWait(network: Network): Step {
	const paths = [
		...Object.keys({...network.links, ...network.bonds, ...network.bridges, ...network.vlans}),
		...listPorts(network).map(([port]) => `${port}/master`),
	];
	const until = ['ls', ...paths.map(path => `/sys/class/net/${path}`)] as const;
	return {do: 'wait', until: [...until], seconds: 30, why: 'wait until every link is there'};
}

/** A piece of initramfs that GRUB loads before Debian's own, at every kernel (/etc/default/grub): made in no time, and never stale. */
const initramfs = '/boot/bringup-links.img';

/** udev names the links in the initramfs already: later they may be in use. */
async function planInitramfs(probe: Probe, wanted: Files): Promise<Step[]> {
	const archive = (await probe.read(initramfs)) ?? '';
	const links = [...wanted].filter(([name]) => name.endsWith('.link'));
	const count = archive.match(/-bringup-[a-z0-9-]+\.link/g)?.length ?? 0;
	if (count === links.length && links.every(([, content]) => archive.includes(content))) return [];
	const folder = networkFolder.slice(1);
	const names = ['etc', 'etc/systemd', folder, ...links.map(([name]) => `${folder}/${name}`)];
	const pack = ['--create', '--format', 'newc', '--quiet', '--directory', '/', '--file', `${initramfs}.new`];
	return [
		{
			do: 'run',
			command: ['cpio', ...pack],
			stdin: `${names.join('\n')}\n`,
			why: 'put the names of the links into the initramfs',
		},
		{do: 'run', command: ['sync', `${initramfs}.new`], why: 'make it durable'},
		{do: 'run', command: ['mv', `${initramfs}.new`, initramfs], why: 'let GRUB load it'},
	];
}

/** The links of the profile. Once they were set up, every change is on trial until the machine is proven to be reachable. */
export const network: Phase<typeof networkSchema> = {
	packages: [
		...['iproute2', 'systemd', 'systemd-resolved', 'systemd-timesyncd', 'udev', 'coreutils', 'findutils'],
		...['iputils-ping', 'iputils-arping', 'ndisc6', 'cpio'],
	],
	async plan(config, probe) {
		const chosen = await chooseLinks(config, probe);
		const wanted = formatNetwork(config, chosen);
		const found = (await readNetworkFiles(probe, networkFolder)) ?? new Map<string, string>();
		const links = await readIpLinks(probe);
		const files = planFiles(wanted, found);
		const renames = planRenames(config, chosen);
		const underWay = (await readTrial(probe))?.subject === 'network';
		const finished = await planFile(probe, finishedPath, '', 'note that the network was set up');
		if (files.length === 0 && renames.length === 0 && !underWay && isInForce(config, links)) {
			const start = await planService(probe, 'systemd-networkd.service', 'start networkd');
			return [...start, ...finished, ...(await planInitramfs(probe, wanted))];
		}
		const there = links.map(({ifname}) => ifname);
		const changed = listChangedLinks(found, wanted).filter(([link]) => there.includes(link));
		const steps = [
			...files,
			...changed.flatMap(([link, content]) => planNetdev(link, content)),
			...renames,
			await planNetworkd(probe, changed.length > 0 || files.length === 0),
			planWait(config),
		];
		const change = {
			subject: 'network',
			content: [...wanted],
			shutsOut: async () => false,
			controller: config.controller,
			steps,
		} as const;
		return [...(await planTrial(probe, change)), ...finished, ...(await planInitramfs(probe, wanted))];
	},
};
