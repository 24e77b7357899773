import {chooseLink, type Link, type Network, networkSchema, readIpLinks} from '../links.ts';
import {type Phase, type Probe, planFile, planService, type Step} from '../phase.ts';

const folder = '/etc/systemd/network';

function section(name: string, lines: readonly (string | false | undefined)[]): string {
	return [`[${name}]`, ...lines.filter(Boolean), ''].join('\n');
}

function formatBridgeNetwork({bridge}: Network): string {
	const dhcp = bridge.addresses === 'dhcp';
	const addresses = bridge.addresses === 'dhcp' ? [] : bridge.addresses;
	return [
		section('Match', [`Name=${bridge.name}`]),
		section('Link', ['RequiredForOnline=routable']),
		section('Network', [
			dhcp && 'DHCP=yes',
			...addresses.map(address => `Address=${address}`),
			bridge.gateway && `Gateway=${bridge.gateway}`,
			...bridge.dns.map(server => `DNS=${server}`),
			...bridge.ntp.map(server => `NTP=${server}`),
		]),
		...(dhcp ? [section('DHCPv4', ['ClientIdentifier=mac'])] : []),
	].join('\n');
}

/** The files that networkd and udev read. The bridge has the uplink's MAC address, or its lease would change (systemd/systemd#30813). */
function formatFiles(config: Network, link: Link): [name: string, content: string][] {
	const {management, bridge} = config;
	return [
		[
			`10-${management.name}.link`,
			[
				section('Match', ['Type=ether', `PermanentMACAddress=${link.mac}`]),
				section('Link', [`Name=${management.name}`]),
			].join('\n'),
		],
		[
			`20-${bridge.name}.netdev`,
			[
				section('NetDev', [`Name=${bridge.name}`, 'Kind=bridge', `MACAddress=${link.mac}`]),
				section('Bridge', ['STP=no', 'ForwardDelaySec=0']),
			].join('\n'),
		],
		[
			`20-${management.name}.network`,
			[
				section('Match', ['Type=ether', `Name=${management.name}`]),
				section('Link', ['RequiredForOnline=no']),
				section('Network', [`Bridge=${bridge.name}`, 'LinkLocalAddressing=no']),
			].join('\n'),
		],
		[`30-${bridge.name}.network`, formatBridgeNetwork(config)],
	];
}

function planRename(link: Link, name: string): Step[] {
	if (link.name === name) return [];
	return [
		{do: 'run', command: ['ip', 'link', 'set', 'dev', link.name, 'down'], why: `take ${link.name} down to rename it`},
		{
			do: 'run',
			command: ['ip', 'link', 'set', 'dev', link.name, 'name', name],
			why: `name ${link.name} (${link.mac}) ${name}`,
		},
	];
}

async function planNetworkd(probe: Probe, changed: boolean): Promise<Step[]> {
	const start = await planService(probe, 'systemd-networkd.service', 'start networkd');
	if (start.length > 0 || !changed) return start;
	return [{do: 'run', command: ['networkctl', 'reload'], why: 'let networkd read its files again'}];
}

/** The management link, pinned by its permanent MAC address, and the bridge on it. */
export const network: Phase<typeof networkSchema> = {
	schema: networkSchema,
	packages: ['iproute2', 'systemd', 'systemd-resolved', 'systemd-timesyncd', 'udev', 'coreutils'],
	async plan(config, probe) {
		const {management, bridge} = config;
		const link = await chooseLink(config, probe);
		const files: Step[] = [];
		for (const [name, content] of formatFiles(config, link)) {
			files.push(...(await planFile(probe, `${folder}/${name}`, content, `write ${folder}/${name}`)));
		}
		const bridges = (await readIpLinks(probe)).filter(
			({ifname, address}) => ifname === bridge.name && address === link.mac,
		);
		const joined = link.name === management.name && link.bridge === bridge.name && bridges.length === 1;
		const steps = [
			...files,
			...planRename(link, management.name),
			...(await planNetworkd(probe, files.length > 0 || !joined)),
		];
		if (steps.length === 0) return [];
		const port = `/sys/class/net/${bridge.name}/brif/${management.name}`;
		return [
			...steps,
			{
				do: 'wait',
				until: ['test', '-e', port],
				seconds: 30,
				why: `wait until ${management.name} is a port of ${bridge.name}`,
			},
		];
	},
};
