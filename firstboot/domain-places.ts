import type {Storage} from './domain-disks.ts';
import {type Probe, readMounts} from './phase.ts';
import {nameTarget, type PlacedDomain} from './virtualization.ts';

/** The path of a mount unit, from its name (systemd.unit(5), "String escaping for inclusion in unit names"). */
function readUnitName(name: string): string {
	const plain = name.slice(0, -'.mount'.length).replaceAll('-', '/');
	return `/${plain.replace(/\\x([0-9a-f]{2})/g, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16)))}`;
}

/** Where /etc/fstab and mount units say that something shall be mounted. */
async function listWantedMounts(probe: Probe): Promise<string[]> {
	const table = ((await probe.read('/etc/fstab')) ?? '').split('\n').map(line => line.trim().split(/\s+/));
	const lines = table.filter(([device = '']) => device !== '' && !device.startsWith('#'));
	const points = lines.map(([, point = '']) =>
		point.replace(/\\([0-7]{3})/g, (_, digits) => String.fromCharCode(Number.parseInt(digits, 8))),
	);
	const units = [...((await probe.list('/etc/systemd/system')) ?? [])].filter(
		([name, {target}]) => name.endsWith('.mount') && target !== '/dev/null',
	);
	return [...points.filter(point => point.startsWith('/')), ...units.map(([name]) => readUnitName(name))];
}

/** Throws when a folder of disks shall lie on something that is not mounted: what is made there would be below it. */
export async function checkMounted(folders: readonly {name: string; path: string}[], probe: Probe): Promise<void> {
	const mounted = new Set(await readMounts(probe));
	const missing = (await listWantedMounts(probe)).filter(point => point !== '/' && !mounted.has(point));
	for (const {name, path} of folders) {
		const point = missing.find(one => `${path}/`.startsWith(`${one.replace(/\/+$/, '')}/`));
		if (point === undefined) continue;
		throw new Error(
			`the pool ${name} (virtualization.pools.${name}) lies in ${path}, and nothing is mounted at ${point}, where /etc/fstab or a mount unit wants something: no disk is made below it. Mount it (mount ${point}) and run: systemctl restart bringup`,
		);
	}
}

/** Where the definition of a domain has its disk of this index. */
function findDefined(definition: string, index: number): string | undefined {
	const disk = new RegExp(`<source (?:file|dev)=['"]([^'"]+)['"][^>]*/>\\s*<target dev=['"]${nameTarget(index)}['"]`);
	return disk.exec(definition)?.[1];
}

async function isThere(path: string, {paths, blocks}: Storage, probe: Probe): Promise<boolean> {
	if (paths.has(path) || blocks.has(path)) return true;
	const end = path.lastIndexOf('/');
	return (await probe.list(path.slice(0, end)))?.has(path.slice(end + 1)) ?? false;
}

/** Throws when a disk that a defined domain has is gone, or lies elsewhere: an empty one in its place would be a new guest. */
export async function checkDisks(
	{name, volumes}: PlacedDomain,
	definition: string | undefined,
	storage: Storage,
	probe: Probe,
): Promise<void> {
	for (const [index, {path}] of volumes.entries()) {
		const before = findDefined(definition ?? '', index);
		if (before === undefined) continue;
		const at = `virtualization.domains.${name}.disks[${index}]`;
		const isNew = storage.paths.has(path) || storage.blocks.has(path);
		const isOld = before === path ? isNew : await isThere(before, storage, probe);
		if (before !== path && isNew && isOld)
			throw new Error(
				`${at} lies at ${before}, and there is another one at ${path}, where the profile puts it: stop the domain and remove or rename the one that is not its disk`,
			);
		if (before !== path && isOld)
			throw new Error(
				`${at} lies at ${before}, and the profile puts it at ${path}: stop the domain and move it there, or give it its pool back`,
			);
		if (isNew) continue;
		throw new Error(
			`${at} of the domain ${name}, which is defined, is gone: there is no ${before}. It is never replaced by an empty one: bring it back (is what it lies on mounted, is its disk attached?); or, to begin anew without what was on it: virsh undefine --keep-nvram ${name}`,
		);
	}
}
