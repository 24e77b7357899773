import {type Asset, assetPath} from './assets.ts';
import {planCleanGrowth} from './logical-growth.ts';
import {type Command, ofPart, type Probe, type Step} from './phase.ts';
import {formatBytes} from './sizing.ts';
import type {PlacedDomain, Volume} from './virtualization.ts';

type FileVolume = Extract<Volume, {kind: 'file'}>;
type BlockVolume = Extract<Volume, {kind: 'block'}>;

/** A volume of LVM or ZFS: its bytes, the step in which such volumes grow, and whether it is a plain logical one. */
interface Block {
	bytes: number;
	extent: number;
	plain: boolean;
}

/** What stands where disks of domains may lie. */
export interface Storage {
	/** Every path in the folders that were asked for, and these. */
	paths: ReadonlySet<string>;
	/** By path of the volume. */
	blocks: ReadonlyMap<string, Block>;
}

type Blocks = Storage['blocks'];

async function readLogical(probe: Probe): Promise<[string, Block][]> {
	const options = ['--reportformat', 'json', '--units', 'b', '--nosuffix'] as const;
	const output = await probe.output([
		'lvs',
		...options,
		'--options',
		'vg_name,lv_name,lv_size,vg_extent_size,lv_layout',
	]);
	const {report} = JSON.parse(output) as {report: {lv: Record<string, string>[]}[]};
	return report
		.flatMap(({lv}) => lv)
		.map(({vg_name, lv_name, lv_size, vg_extent_size, lv_layout}) => {
			const block = {bytes: Number(lv_size), extent: Number(vg_extent_size), plain: lv_layout === 'linear'};
			return [`/dev/${vg_name}/${lv_name}`, block];
		});
}

async function readZvols(probe: Probe): Promise<[string, Block][]> {
	const output = await probe.output(['zfs', 'list', '-H', '-p', '-t', 'volume', '-o', 'name,volsize,volblocksize']);
	return output
		.split('\n')
		.filter(Boolean)
		.map(line => {
			const [name, bytes, extent] = line.split('\t');
			return [`/dev/zvol/${name}`, {bytes: Number(bytes), extent: Number(extent), plain: false}];
		});
}

/** Asks the machine once for all files, and once for all volumes of each kind. */
export async function readStorage(
	folders: readonly string[],
	volumes: readonly Volume[],
	probe: Probe,
): Promise<Storage> {
	const paths = new Set<string>();
	for (const folder of folders) {
		const found = await probe.list(folder);
		if (found !== undefined)
			for (const path of [folder, ...[...found.keys()].map(name => `${folder}/${name}`)]) paths.add(path);
	}
	const has = (on: 'lvm' | 'zfs') => volumes.some(volume => volume.kind === 'block' && volume.on === on);
	const blocks: Blocks = new Map([
		...(has('lvm') ? await readLogical(probe) : []),
		...(has('zfs') ? await readZvols(probe) : []),
	]);
	return {paths, blocks};
}

/** Bytes that a qcow2 file shows to its domain: a big-endian number at byte 24 of its header. */
async function readVirtualSize(path: string, probe: Probe): Promise<number> {
	const header = await probe.readBytes(path, 32);
	if (header === undefined || header.length < 32 || header.readUInt32BE(0) !== 0x514649fb)
		throw new Error(`${path} is no qcow2 file, and it stands where a domain's disk shall; move it away`);
	return Number(header.readBigUInt64BE(24));
}

/** A power cut must find either no disk or a whole one: the new one has another name until it is on stable storage. */
const temporary = (path: string) => `${path}.new`;

/** The golden image beside the disks that build on it: there AppArmor lets libvirt read it, and it outlives the asset. */
function basePath({folder, image}: FileVolume, from: Asset): string {
	return `${folder}/base-${from.asset.sha256?.slice(0, 16)}.${image.format}`;
}

function planBase(path: string, from: Asset): Step[] {
	const why = `copy the golden image to ${path}`;
	return [
		{do: 'run', command: ['cp', '--reflink=auto', assetPath(from), temporary(path)], why},
		{do: 'run', command: ['sync', temporary(path)], why: 'make it durable'},
		{do: 'run', command: ['mv', '--no-target-directory', temporary(path), path], why: `put ${path} in place`},
	];
}

function planFile(volume: FileVolume): Step[] {
	const {path, bytes, image} = volume;
	const fresh = temporary(path);
	const size = formatBytes(bytes);
	const make = (...args: [string, ...string[]]): Step => ({
		do: 'run',
		command: ['qemu-img', ...args],
		why: `make the disk ${path} of ${size}`,
	});
	// qemu-img refuses to make an image smaller than what it holds, so the size of the golden image is guarded by `resize`.
	const resize: Step = {
		do: 'run',
		command: ['qemu-img', 'resize', '-f', 'qcow2', fresh, String(bytes)],
		why: `grow it to ${size}`,
	};
	const {from, how, format} = image;
	const made = !from
		? [make('create', '-f', 'qcow2', fresh, String(bytes))]
		: how === 'backing'
			? [make('create', '-f', 'qcow2', '-F', format, '-b', basePath(volume, from), fresh), resize]
			: [make('convert', '-f', format, '-O', 'qcow2', assetPath(from), fresh), resize];
	return [
		...made,
		{do: 'run', command: ['chmod', '0600', fresh], why: 'let nobody else read it'},
		{do: 'run', command: ['sync', fresh], why: 'make it durable'},
		{do: 'run', command: ['mv', '--no-target-directory', fresh, path], why: `put ${path} in place`},
	];
}

/** What LVM and ZFS call the same. */
function listCommands({
	on,
	parent,
	name,
	path,
	bytes,
}: BlockVolume): Record<'remove' | 'make' | 'name' | 'grow', Command> {
	const fresh = `${name}.new`;
	return on === 'lvm'
		? {
				remove: ['lvremove', '--yes', `${parent}/${fresh}`],
				make: ['lvcreate', '--yes', '--wipesignatures', 'y', '--size', `${bytes}b`, '--name', fresh, parent],
				name: ['lvrename', parent, fresh, name],
				grow: ['lvextend', '--size', `${bytes}b`, path],
			}
		: {
				remove: ['zfs', 'destroy', `${parent}/${fresh}`],
				make: ['zfs', 'create', '-p', '-V', String(bytes), `${parent}/${fresh}`],
				name: ['zfs', 'rename', `${parent}/${fresh}`, `${parent}/${name}`],
				grow: ['zfs', 'set', `volsize=${bytes}`, `${parent}/${name}`],
			};
}

function planBlock(volume: BlockVolume, {blocks}: Storage): Step[] {
	const {path, on, bytes, image} = volume;
	const device = temporary(path);
	const commands = listCommands(volume);
	const run = (command: Command, why: string): Step => ({do: 'run', command, why});
	// The device of a volume of ZFS is made by udev.
	const settle = on === 'zfs' ? [run(['udevadm', 'settle'], 'let udev see it')] : [];
	const {from, format} = image;
	// A logical volume holds what others had there before, also behind the end of the image; a volume of ZFS holds nothing.
	const clear =
		on === 'lvm'
			? [run(['blkdiscard', '--zeroout', device], 'fill it with zeros: it holds what was there before')]
			: [];
	const zeroed = on === 'lvm' ? ['--target-is-zero'] : [];
	const fill = from && [
		run(
			['qemu-img', 'convert', '-n', ...zeroed, '-f', format, '-O', 'raw', assetPath(from), device],
			'copy the golden image to it',
		),
	];
	const durable = clear.length > 0 || fill ? [run(['sync', device], 'make it durable')] : [];
	return [
		...(blocks.has(device) ? [run(commands.remove, `remove ${device}, which was never finished`)] : []),
		run(commands.make, `make the disk ${path} of ${formatBytes(bytes)}`),
		...settle,
		...clear,
		...(fill ?? []),
		...durable,
		run(commands.name, `put ${path} in place`),
		...settle,
	];
}

async function planGrowth(
	domain: PlacedDomain,
	volume: Volume,
	{blocks}: Storage,
	running: boolean,
	probe: Probe,
): Promise<Step[]> {
	const {path, bytes} = volume;
	const why = `grow ${path} to ${formatBytes(bytes)}`;
	const tell = {
		do: 'run',
		command: ['virsh', 'blockresize', domain.name, path, `${bytes}b`],
		why: running && volume.kind === 'block' ? `tell ${domain.name} its new size` : why,
	} as const;
	if (volume.kind === 'file')
		return [running ? tell : {do: 'run', command: ['qemu-img', 'resize', '-f', 'qcow2', path, String(bytes)], why}];
	const commands = listCommands(volume);
	const block = blocks.get(path);
	const cleared = block?.plain ? await planCleanGrowth(volume, block, why, probe) : undefined;
	const unfinished: Step = {
		do: 'run',
		command: commands.remove,
		why: `remove ${temporary(path)}, which was never finished`,
	};
	return [
		...(blocks.has(temporary(path)) ? [unfinished] : []),
		...(cleared ?? [{do: 'run', command: commands.grow, why} as const]),
		...(running ? [tell] : []),
	];
}

async function planVolume(
	domain: PlacedDomain,
	volume: Volume,
	storage: Storage,
	running: boolean,
	probe: Probe,
): Promise<Step[]> {
	const {path, bytes} = volume;
	const block = storage.blocks.get(path);
	const found =
		volume.kind === 'block' ? block?.bytes : storage.paths.has(path) ? await readVirtualSize(path, probe) : undefined;
	if (found === undefined) return volume.kind === 'block' ? planBlock(volume, storage) : planFile(volume);
	// A volume comes in whole extents.
	if (found >= bytes + (block?.extent ?? 1))
		throw new Error(
			`${path} has ${formatBytes(found)} and the profile says ${formatBytes(bytes)}: a disk is never made smaller. Give virtualization.domains.${domain.name}.disks that size; or move what is on it, and remove it`,
		);
	return found < bytes ? planGrowth(domain, volume, storage, running, probe) : [];
}

/** The golden images that disks still have to be made from. */
export function listMissingImages(volumes: readonly Volume[], storage: Storage): Asset[] {
	const missing = volumes.filter(({path}) => !storage.paths.has(path) && !storage.blocks.has(path));
	const images = missing.flatMap(({image}) => image.from ?? []);
	return [...new Map(images.map(image => [image.asset.sha256, image])).values()];
}

/** The steps to the disks of domains. An existing disk keeps what is on it; it may grow. */
export async function planVolumes(
	domains: readonly PlacedDomain[],
	storage: Storage,
	running: ReadonlySet<string>,
	probe: Probe,
): Promise<Step[]> {
	const steps: Step[] = [];
	const bases = new Set<string>();
	for (const domain of domains) {
		for (const volume of domain.volumes) {
			const own = await planVolume(domain, volume, storage, running.has(domain.name), probe);
			const {from, how} = volume.image;
			if (volume.kind === 'file' && from && how === 'backing' && !storage.paths.has(volume.path)) {
				const base = basePath(volume, from);
				if (!storage.paths.has(base) && !bases.has(base)) steps.push(...planBase(base, from));
				bases.add(base);
			}
			steps.push(...ofPart(`domains.${domain.name}`, own));
		}
	}
	return steps;
}
