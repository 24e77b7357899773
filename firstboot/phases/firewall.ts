import * as z from 'zod';
import {admitsNeighbour, admitsSsh, covers, listSshRules} from '../admission.ts';
import {cidr} from '../links.ts';
import {readPeers} from '../logins.ts';
import {formatTable, hasTable, planNoTable, planTable, type Table, tablesFolder} from '../nftables.ts';
import {own, type Phase, type Probe} from '../phase.ts';
import {readAddresses} from '../reach.ts';
import {splitCidr, subnetHolds} from '../subnets.ts';
import {planTrial} from '../trial.ts';

const zoneName = z
	.string()
	.regex(/^[a-z][a-z0-9-]*$/, 'expected a name: a letter, then lower case letters, digits and dashes')
	.refine(name => name !== 'machine', 'machine is the machine itself, and no zone');

const link = z
	.string()
	.regex(
		/^(?!\.{1,2}$)[A-Za-z0-9._-]{1,15}\*?$/,
		'expected the name of a link, such as br0; with * at its end, of all that begin so',
	);

const ports = z
	.array(
		z.union([
			z.number().int().min(1).max(65535),
			z.string().regex(/^\d+-\d+$/, 'expected a port such as 22 or a range such as "8000-8099"'),
		]),
	)
	.min(1);

/** The section `firewall`. */
export const firewallSchema = z
	.strictObject({
		zones: z
			.record(zoneName, z.strictObject({links: z.array(link).min(1).describe('bridges, VLANs and other links')}))
			.describe('links that may reach each other; from one zone to another, or to the machine, only what allow says'),
		allow: z
			.record(
				z.string().regex(/^[a-z][a-z0-9-]*$/, 'expected a name: a letter, then lower case letters, digits and dashes'),
				z.strictObject({
					from: zoneName.or(z.literal('any')).describe('a zone, or `any` of them'),
					to: z
						.string()
						.describe('a zone, or `machine`: also for a port of it that K3s or podman hands on to a pod or container'),
					protocol: z.enum(['tcp', 'udp']).optional().describe('any, without it'),
					ports: ports.optional().describe('such as 22 or "8000-8099"; any, without it'),
					sources: z.array(cidr).min(1).optional().describe('only from these subnets'),
				}),
			)
			.default({})
			.describe('what may pass, by a name of yours'),
	})
	.describe(
		'Zones and what may pass between them, as one nftables table of our own. Drops are final; what passes here may still be dropped by the rules of libvirt, podman or K3s.',
	);

export type Firewall = z.output<typeof firewallSchema>;
type Allowance = Firewall['allow'][string];

const formatSet = (items: readonly (string | number)[]) => `{ ${items.join(', ')} }`;
const formatLinks = (links: readonly string[]) => formatSet(links.map(name => `"${name}"`));

/**
 * Links that libvirt, K3s and podman make for guests and pods of this machine. Where no zone has them, these programs'
 * own rules say what passes from them.
 */
const guestLinks = ['virbr*', 'cni*', 'flannel*', 'podman*'];

/** The port that a packet goes to. */
function matchPort({protocol, ports}: Allowance): string {
	if (!ports) return protocol ? `meta l4proto ${protocol} ` : '';
	return protocol
		? `${protocol} dport ${formatSet(ports)} `
		: `meta l4proto { tcp, udp } th dport ${formatSet(ports)} `;
}

/** The port that its sender asked for, of a packet that is handed on: by K3s to a pod, by podman to a container. */
function matchForwarded({protocol, ports}: Allowance): string {
	const port = ports ? `ct original proto-dst ${formatSet(ports)} ` : '';
	const protocols = protocol ?? (ports ? '{ tcp, udp }' : undefined);
	return `ct status dnat ${protocols ? `meta l4proto ${protocols} ` : ''}${port}`;
}

/** One rule for each address family that the sources have; one for both without sources. */
function formatMatches({sources}: Allowance, service: string): string[] {
	if (!sources) return [service];
	const families = {ip: sources.filter(cidr => !cidr.includes(':')), ip6: sources.filter(cidr => cidr.includes(':'))};
	return Object.entries(families).flatMap(([family, list]) =>
		list.length > 0 ? [`${family} saddr ${formatSet(list)} ${service}`] : [],
	);
}

/** The chains of the table. Names of links are matched as text, because links come and go. */
export function formatFirewall({zones, allow}: Firewall): string {
	const all = Object.values(zones).flatMap(({links}) => links);
	const linksOf = (zone: string) => formatLinks(zone === 'any' ? all : (own(zones, zone)?.links ?? []));
	const allowed = Object.entries(allow).filter(([, {from}]) => from !== 'any' || all.length > 0);
	const rules = (to: 'machine' | 'zones') =>
		allowed
			.filter(([, allowance]) => (allowance.to === 'machine') === (to === 'machine'))
			.flatMap(([name, allowance]) =>
				formatMatches(allowance, matchPort(allowance)).map(match => {
					const out = to === 'machine' ? '' : `oifname ${linksOf(allowance.to)} `;
					return `iifname ${linksOf(allowance.from)} ${out}${match}accept comment "${name}"`;
				}),
			);
	// A port of the machine that leads to a pod or container is open like one that leads to a program.
	const forwarded = allowed
		.filter(([, {to}]) => to === 'machine')
		.flatMap(([name, allowance]) =>
			formatMatches(allowance, matchForwarded(allowance)).map(
				match => `iifname ${linksOf(allowance.from)} ${match}accept comment "${name}"`,
			),
		);
	const input = [
		'type filter hook input priority filter - 5; policy drop;',
		'ct state established,related accept',
		'ct state invalid drop',
		'iifname "lo" accept',
		'icmp type { destination-unreachable, time-exceeded, parameter-problem, echo-request } accept',
		'icmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem, echo-request } accept',
		'icmpv6 type { nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert, mld-listener-query } ip6 hoplimit 255 accept',
		'icmpv6 type { mld-listener-query, mld-listener-report, mld-listener-done, mld2-listener-report } ip6 saddr fe80::/10 accept',
		'udp dport 68 udp sport 67 accept comment "DHCP"',
		'ip6 saddr fe80::/10 udp dport 546 accept comment "DHCPv6"',
		...rules('machine'),
	];
	const forward = [
		'type filter hook forward priority filter - 5; policy drop;',
		'ct state established,related accept',
		...Object.keys(zones).map(zone => `iifname ${linksOf(zone)} oifname ${linksOf(zone)} accept`),
		...rules('zones'),
		...forwarded,
		...(all.length > 0 ? [`iifname ${formatLinks(all)} drop`] : []),
		`iifname ${formatLinks(guestLinks)} accept`,
	];
	const chain = (name: string, lines: readonly string[]) =>
		`\tchain ${name} {\n${lines.map(line => `\t\t${line}\n`).join('')}\t}\n`;
	return chain('input', input) + chain('forward', forward);
}

const tableOf = (config: Firewall): Table => ({family: 'inet', name: 'firewall', content: formatFirewall(config)});

/** Who gets in by SSH over a link, by a table as formatFirewall writes it: a subnet each, or undefined for anybody. */
function readSshSources(table: string, link: string): (string | undefined)[] {
	const input = /chain input \{\n([\s\S]*?)\n\t\}/.exec(table)?.[1] ?? '';
	return input.split('\n').flatMap(line => {
		const [, names = '', match = ''] = /^\t\tiifname \{ ([^}]*) \} (.*)accept /.exec(line) ?? [];
		if (!names.split(', ').some(name => covers(name.slice(1, -1), link))) return [];
		const ports = / dport \{ ([^}]*) \}/.exec(` ${match}`)?.[1]?.split(', ') ?? ['22'];
		const isSsh = ports.some(port => {
			const [first = 0, last = first] = port.split('-').map(Number);
			return 22 >= first && 22 <= last;
		});
		if (!isSsh || /(^| )(udp dport|meta l4proto udp) /.test(match)) return [];
		return /saddr \{ ([^}]*) \}/.exec(match)?.[1]?.split(', ') ?? [undefined];
	});
}

/**
 * Whether a change takes SSH from everybody who is known to get in over the link that the machine is reached by: those
 * who are logged in over it; where nobody is, those whom the table in force lets in, or else who is beside the machine.
 * A session over another link may be a pod's, so it does not count.
 */
async function shutsOut(config: Firewall, management: string, probe: Probe): Promise<boolean> {
	const linkTo = async (address: string, [, link] = address.split('%')) => {
		if (link) return link;
		const text = await probe.output(['ip', '-json', 'route', 'get', address]);
		return (JSON.parse(text) as {dev: string}[])[0]?.dev ?? '';
	};
	const peers = [];
	for (const peer of await readPeers(probe)) if ((await linkTo(peer)) === management) peers.push(peer);
	if (peers.length > 0) return !peers.some(peer => admitsSsh(config, management, peer.replace(/%.*/, '')));
	const after = listSshRules(config, management).map(({sources}) => sources);
	const before = readSshSources((await probe.read(tablePath)) ?? '', management);
	const isIn = (source: string | undefined) => (one: string) =>
		source !== undefined &&
		splitCidr(one).prefix <= splitCidr(source).prefix &&
		subnetHolds(one, splitCidr(source).address);
	const staysIn = (source: string | undefined) => after.some(sources => sources?.some(isIn(source)) ?? true);
	if (before.length > 0 && before.every(staysIn)) return false;
	const {subnets = []} = (await readAddresses(probe)).get(management) ?? {};
	return !subnets.some(subnet => admitsNeighbour(config, management, subnet));
}

const tablePath = `${tablesFolder}/firewall.nft`;

const packages = ['nftables', 'systemd', 'util-linux', 'iproute2', 'coreutils'];

/** Before any link is up for the first time: the table, which nobody can depend on yet. */
export const firstFirewall: Phase<typeof firewallSchema> = {
	packages,
	plan: async (config, probe) => ((await hasTable(probe, 'firewall')) ? [] : planTable(probe, tableOf(config))),
};

/** The zones of the machine, loaded as one table and in one transaction. A change of them is on trial. */
export const firewall: Phase<typeof firewallSchema> = {
	packages,
	async plan(config, probe) {
		const table = tableOf(config);
		const steps = await planTable(probe, table);
		if ((await probe.read(tablePath)) === formatTable(table)) return steps;
		return planTrial(probe, {
			subject: 'firewall',
			content: table,
			shutsOut: management => shutsOut(config, management, probe),
			steps,
		});
	},
	absent: probe => planNoTable(probe, {family: 'inet', name: 'firewall'}),
};
