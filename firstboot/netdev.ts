import type {Probe, Step} from './phase.ts';

const networkd = 'systemd-networkd.service';
const makeAnew = 'let networkd make the links anew';

/** networkd keeps what it knew of a link that is gone: until 257 such a link does not come back by a reload (systemd/systemd#34907). */
export const restartNetworkd: Step = {do: 'run', command: ['systemctl', 'restart', networkd], why: makeAnew};

/** The same, not waited for: a unit that is ordered before networkd must not wait for it. */
export const restartNetworkdSoon: Step = {
	do: 'run',
	command: ['systemctl', '--no-block', 'restart', networkd],
	why: makeAnew,
};

/** The network files that stand in a folder, by name; undefined when there is no such folder. */
export async function readNetworkFiles(probe: Probe, path: string): Promise<Map<string, string> | undefined> {
	const found = await probe.list(path);
	if (found === undefined) return undefined;
	// A folder of drop-ins is somebody else's.
	const names = [...found].filter(([name, {type}]) => type !== 'd' && !name.endsWith('.d')).map(([name]) => name);
	const files = names.map(async name => [name, (await probe.read(`${path}/${name}`)) ?? ''] as const);
	return new Map(await Promise.all(files));
}

/** What networkd does not change on a link that is there: a bridge is brought in line without losing its ports, other links are made anew. */
export function planNetdev(link: string, content: string | undefined): Step[] {
	if (content === undefined || !content.includes('Kind=bridge'))
		return [{do: 'run', command: ['ip', 'link', 'delete', 'dev', link], why: `remove ${link}`}];
	const has = (line: string) => (content.includes(line) ? '1' : '0');
	const mac = /^MACAddress=(.*)$/m.exec(content)?.[1];
	const delay = content.includes('STP=yes') ? '1500' : '0';
	// By itself and first: while STP is on, the kernel takes no forward delay of 0.
	const stp = ['stp_state', has('STP=yes')];
	const others = ['forward_delay', delay, 'vlan_filtering', has('VLANFiltering=yes')];
	return [
		...[stp, others].map(
			(options): Step => ({
				do: 'run',
				command: ['ip', 'link', 'set', 'dev', link, 'type', 'bridge', ...options],
				why: `bring ${link} in line: ${options[0]}`,
			}),
		),
		...(mac
			? ([
					{
						do: 'run',
						command: ['ip', 'link', 'set', 'dev', link, 'address', mac],
						why: `give ${link} the MAC address ${mac}`,
					},
				] as const)
			: []),
	];
}

/** The virtual links whose files differ, with what they are to be; undefined: to be gone. */
export function listChangedLinks(
	before: ReadonlyMap<string, string>,
	after: ReadonlyMap<string, string>,
): [link: string, content: string | undefined][] {
	const isVlan = (content: string) => Number(content.includes('Kind=vlan')); // they go with the link that they are on
	const files = [...before].sort(([, a], [, b]) => isVlan(b) - isVlan(a));
	return files.flatMap(([file, content]): [string, string | undefined][] => {
		const link = /^20-bringup-(.+)\.netdev$/.exec(file)?.[1];
		return link !== undefined && after.get(file) !== content ? [[link, after.get(file)]] : [];
	});
}

/** The link over which a machine with these files is reached. */
export function findManagement(files: ReadonlyMap<string, string>): string | undefined {
	const found = [...files].find(([, content]) => content.includes('RequiredForOnline=routable'))?.[0];
	return /^30-bringup-(.+)\.network$/.exec(found ?? '')?.[1];
}
