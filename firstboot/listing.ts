import {type Asset, assetPath, assetsFolder} from './assets.ts';
import {type Listed, type Probe, planFile, type Step} from './phase.ts';

/** All that lies below a folder, by path, so many levels deep; nothing where there is no such folder. */
export async function listBelow(
	probe: Probe,
	folder: string,
	depth: number,
	enters: (path: string) => boolean = () => true,
): Promise<Map<string, Listed>> {
	const all = new Map<string, Listed>();
	for (const [name, listed] of (await probe.list(folder)) ?? []) {
		const path = `${folder}/${name}`;
		all.set(path, listed);
		if (listed.type !== 'd' || depth === 1 || !enters(path)) continue;
		for (const [inner, one] of await listBelow(probe, path, depth - 1, enters)) all.set(inner, one);
	}
	return all;
}

/** What lies where K3s and the assets do, by path. */
export async function readK3sFiles(probe: Probe): Promise<ReadonlyMap<string, Listed>> {
	const store = '/var/lib/rancher/k3s';
	// Data of pods may be large, and K3s's own programs are many.
	const enters = (path: string) => path !== `${store}/data` && path !== `${store}/storage`;
	return new Map([
		...(await listBelow(probe, '/usr/local/bin', 1)),
		...(await listBelow(probe, assetsFolder, 1)),
		...(await listBelow(probe, '/var/lib/rancher', 5, enters)),
	]);
}

/**
 * The steps to a copy of an asset. Of which asset is on record, once the copy is whole; that nobody has changed it since
 * is seen by size and time: reading hundreds of megabytes at every boot would take longer than all else. All assets of a
 * medium have the same time.
 */
export async function planCopy(
	files: ReadonlyMap<string, Listed>,
	asset: Asset,
	path: string,
	mode: string,
	probe: Probe,
): Promise<Step[]> {
	const from = assetPath(asset);
	const noted = await planFile(
		probe,
		`/var/lib/bringup/copies${path}`,
		`${from.slice(assetsFolder.length + 1)}\n`,
		`note which asset ${path} is a copy of`,
	);
	const [wanted, found] = [files.get(from), files.get(path)];
	const isWhole = found !== undefined && found.size === wanted?.size && found.time === wanted.time;
	if (noted.length === 0 && isWhole && found.target === '') return [];
	const temporary = path.replace(/[^/]+$/, '.$&.bringup');
	const copy = ['--preserve-timestamps', `--mode=${mode}`, '--no-target-directory', from, temporary];
	return [
		{do: 'run', command: ['install', '-D', ...copy], why: `copy ${path} from the assets`},
		{do: 'run', command: ['sync', temporary], why: `make ${path} durable`},
		{do: 'run', command: ['mv', '--force', '--no-target-directory', temporary, path], why: `put ${path} in place`},
		...noted,
	];
}
