import {type Disk, flatten, type Node} from './disks.ts';
import {partitionPath} from './layout.ts';
import type {Command, OnDisk, Step} from './phase.ts';

/** A disk whose content may go, as lsblk shows it, and whose word that is. */
export interface Given {
	disk: Disk;
	node: Node;
	consent: string;
}

/** Of a logical volume as device mapper calls it: there a dash in a name is doubled. */
function groupOf({name}: Node): string {
	return (/^((?:--|[^-])+)-(?!-)/.exec(name)?.[1] ?? name).replaceAll('--', '-');
}

/** Its own partitions are its direct children; what lies deeper belongs to something that runs on it. */
const isOwn = (node: Node, {type}: Node) => type === 'part' && (node.type === 'disk' || node.type === 'loop');

/** What runs on the disks, each once, with how deep it lies at most. */
function listInside(given: readonly Given[]): {node: Node; depth: number}[] {
	const found = new Map<string, {node: Node; depth: number}>();
	const visit = (parent: Node, depth: number) => {
		for (const node of parent.children ?? []) {
			const earlier = found.get(node.path);
			if (!isOwn(parent, node) && (earlier === undefined || earlier.depth < depth)) found.set(node.path, {node, depth});
			visit(node, depth + 1);
		}
	};
	for (const {node} of given) visit(node, 1);
	return [...found.values()];
}

const isArray = (type: string) => /^(raid\d+|linear)$/.test(type);

/** Throws where something runs on the disks that is not stopped here, or that lies on others too than those that go. */
export function checkInside(
	given: readonly Given[],
	devices: readonly Node[],
	going: ReadonlySet<string> = new Set(),
): void {
	const disks = given.map(({disk}) => disk.name).join(', ');
	const refuse = (what: string, remedy: string) =>
		new Error(`${disks} cannot be erased: ${what}. Nothing was changed. ${remedy}`);
	for (const {node} of given) {
		const mounted = flatten(node).find(({mountpoints}) => mountpoints.some(Boolean));
		if (mounted)
			throw refuse(`${mounted.path} is in use at ${mounted.mountpoints.find(Boolean)}`, 'Unmount it, if it may go');
	}
	const inside = listInside(given);
	const foreign = inside.find(
		({node: {type}}) => !(type === 'part' || type === 'lvm' || type === 'md' || isArray(type)),
	);
	if (foreign)
		throw refuse(
			`${foreign.node.path} (${foreign.node.type}) is open on it`,
			foreign.node.type === 'crypt' ? `Close it: cryptsetup close ${foreign.node.name}` : 'Stop it by hand',
		);
	const groups = new Set(inside.filter(({node}) => node.type === 'lvm').map(({node}) => groupOf(node)));
	const others = devices.filter(({name}) => !going.has(name) && !given.some(({node}) => node.name === name));
	for (const other of others) {
		const shared = flatten(other).find(node => node.type === 'lvm' && groups.has(groupOf(node)));
		if (shared)
			throw refuse(
				`the volume group ${groupOf(shared)} lies on ${other.path} too, which is to stay`,
				`Take the disk out of it (vgreduce ${groupOf(shared)} …), or let both go`,
			);
	}
}

/** The steps that stop what runs on disks that are to be erased, from the top. What is on it is erased first: else it is there again in a new array of the same shape. */
export function planStops(given: readonly Given[], devices: readonly Node[]): Step[] {
	checkInside(given, devices);
	const on: OnDisk[] = given.map(({disk}) => disk.on);
	const why = [...new Set(given.map(({disk, consent}) => `${disk.name} (${consent})`))].join(', ');
	const run = (command: Command, what: string): Step => ({do: 'run', command, on, why: `${what}, to erase ${why}`});
	const inside = listInside(given);
	const steps: {depth: number; rank: number; step: Step}[] = [];
	for (const {node, depth} of inside) {
		const {type, path, fstype, pttype, ro, children} = node;
		// A part of a volume, such as half of a mirror, shows what is on the whole, and is held by it.
		const holds = Boolean(fstype || pttype) && !ro && (type !== 'lvm' || !children?.length) && Number(node.size) > 0;
		const rank = type === 'md' ? 3 : isArray(type) ? 2 : 0;
		if (holds) steps.push({depth, rank, step: run(['wipefs', '--all', path], `erase ${fstype ?? pttype} on ${path}`)});
		if (rank > 0) steps.push({depth, rank, step: run(['mdadm', '--stop', path], `stop ${path}`)});
	}
	const volumes = inside.filter(({node}) => node.type === 'lvm');
	for (const group of new Set(volumes.map(({node}) => groupOf(node)))) {
		const depth = Math.min(...volumes.filter(({node}) => groupOf(node) === group).map(({depth}) => depth));
		steps.push({depth, rank: 1, step: run(['vgchange', '--activate', 'n', group], `stop the volume group ${group}`)});
	}
	return steps.sort((a, b) => b.depth - a.depth || a.rank - b.rank).map(({step}) => step);
}

/** The steps that erase a disk on which nothing runs any more: its partitions, then itself. */
export function planWipe({disk, consent}: Omit<Given, 'node'>): Step[] {
	const what = `${disk.contents} on ${disk.name} (${disk.model}, serial ${disk.serial || 'none'}; ${consent})`;
	const devices = [...disk.partitions.map(number => partitionPath(disk, number)), disk.path];
	return devices.map(device => ({
		do: 'run',
		command: ['wipefs', '--all', device],
		on: [disk.on],
		why: `erase ${what}: ${device}`,
	}));
}
