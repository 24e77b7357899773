import {networkFolder} from './networkd.ts';
import type {Probe, Step} from './phase.ts';

const folder = '/var/lib/bringup/network';

/** The last network that was proven; while it is there, a change is under way. */
export const lastGood = `${folder}/last-good`;
/** What was tried and lost the machine: a change that is not tried again by itself. */
export const rejectedPath = `${folder}/rejected.json`;
/** While a change is under way: its digest. Gone after a power cut, which says nothing against the change. */
export const trialPath = '/run/bringup/network-trial';

/** Once a network of ours was set up whole: from then on somebody may depend on it, also while a lease is yet to come. */
export const finishedPath = `${folder}/finished`;
const replaced = `${folder}/replaced`;

const timer = 'bringup-network-restore.timer';

const networkd = 'systemd-networkd.service';
const makeAnew = 'let networkd make the links anew';

/** networkd keeps what it knew of a link that is gone: until 257 such a link does not come back by a reload (systemd/systemd#34907). */
export const restartNetworkd: Step = {do: 'run', command: ['systemctl', 'restart', networkd], why: makeAnew};

/** Seconds that the new network has; the timer gives it twice as long. */
const proofSeconds = 60;

/** A network that was tried and taken back. */
export interface Rejected {
	/** Of the files that were tried. */
	digest: string;
	at: string;
	reason: string;
}

/** The network files that stand in a folder, by name; undefined when there is no such folder. */
export async function readNetworkFiles(probe: Probe, path: string): Promise<Map<string, string> | undefined> {
	const found = await probe.list(path);
	if (found === undefined) return undefined;
	// A folder of drop-ins is somebody else's.
	const names = [...found].filter(([name, {type}]) => type !== 'd' && !name.endsWith('.d')).map(([name]) => name);
	const files = names.map(async name => [name, (await probe.read(`${path}/${name}`)) ?? ''] as const);
	return new Map(await Promise.all(files));
}

/** The steps before the first change: the network in force is saved whole, and a timer of systemd's own brings it back. */
export function planArm(saved: boolean): Step[] {
	const saving = `${folder}/saving`;
	const save: Step[] = [
		{do: 'run', command: ['mkdir', '--parents', folder], why: 'make room for the network that is in force'},
		{do: 'run', command: ['rm', '--recursive', '--force', saving], why: 'remove what an earlier try left'},
		{
			do: 'run',
			command: ['cp', '--archive', '--no-target-directory', networkFolder, saving],
			why: 'save the network that is in force',
		},
		{do: 'run', command: ['sync', '--file-system', folder], why: 'make it durable'},
		{do: 'run', command: ['mv', '--no-target-directory', saving, lastGood], why: 'take it as the last good one'},
	];
	const why = 'let a timer bring the last good network back, unless the new one proves itself';
	return [...(saved ? [] : save), {do: 'run', command: ['systemctl', 'restart', timer], why}];
}

/** The steps after the last change: the machine proves that it is reachable, and only then forgets the network before. */
export function planDisarm(): Step[] {
	return [
		{
			do: 'wait',
			until: ['bringup', 'reachable'],
			seconds: proofSeconds,
			why: 'prove that the machine is still reachable',
		},
		{do: 'run', command: ['sync', '--file-system', networkFolder], why: 'make it durable'},
		{do: 'run', command: ['rm', '--recursive', '--force', replaced], why: 'remove the network before the last'},
		{do: 'run', command: ['mv', '--no-target-directory', lastGood, replaced], why: 'keep the new network'},
		{do: 'run', command: ['systemctl', 'stop', timer], why: 'stop the timer'},
	];
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

/** How a trial ended, where it did not end well. */
interface Verdict {
	/** Why the change is not to be tried again; undefined when nothing speaks against it, as after a power cut. */
	reason: string | undefined;
	at: string;
	/** Names of the links that are there. */
	links: readonly string[];
	/** Whether networkd runs already. */
	running: boolean;
}

/** The steps back to the last good network. Its folder goes last: a power cut on the way is followed by another try. */
export async function planRestore(probe: Probe, {reason, at, links, running}: Verdict): Promise<Step[]> {
	const before = await readNetworkFiles(probe, lastGood);
	if (!before) return [];
	const now = (await readNetworkFiles(probe, networkFolder)) ?? new Map<string, string>();
	const digest = await probe.read(trialPath);
	const steps: Step[] = [];
	if (reason !== undefined && digest) {
		const content = `${JSON.stringify({digest, at, reason} satisfies Rejected)}\n`;
		steps.push({do: 'write', path: rejectedPath, content, mode: 0o644, why: `give the change up: ${reason}`});
	}
	for (const name of [...now.keys()].filter(name => !before.has(name)))
		steps.push({do: 'run', command: ['rm', '--force', `${networkFolder}/${name}`], why: `remove ${name}`});
	steps.push(
		{
			do: 'run',
			command: ['cp', '--archive', '--no-target-directory', lastGood, networkFolder],
			why: 'put the last good network back',
		},
		{do: 'run', command: ['sync', '--file-system', networkFolder], why: 'make it durable'},
	);
	const changed = listChangedLinks(now, before).filter(([link]) => links.includes(link));
	steps.push(...changed.flatMap(([link, content]) => planNetdev(link, content)));
	// Not waited for: the unit that runs us at boot is ordered before networkd.
	if (running) steps.push({do: 'run', command: ['systemctl', '--no-block', 'restart', networkd], why: makeAnew});
	// Moved, not removed: half a folder would be taken for the whole network at the next boot.
	steps.push(
		{do: 'run', command: ['rm', '--recursive', '--force', replaced], why: 'remove the network before the last'},
		{
			do: 'run',
			command: ['mv', '--no-target-directory', lastGood, replaced],
			why: 'keep what was saved as the one before',
		},
		{do: 'run', command: ['rm', '--force', trialPath], why: 'end the trial'},
	);
	return steps;
}
