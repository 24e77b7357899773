import {type Asset, assetPath} from './assets.ts';
import type {Command, Probe, Step} from './phase.ts';

/** A file, folder or symbolic link, as find prints it. */
export interface Listed {
	/** Bytes. */
	size: string;
	/** Time of its last change, in seconds with all their decimals. */
	time: string;
	/** Where a symbolic link leads. */
	target: string;
}

export const listK3sFiles: Command = [
	...(['find', '/usr/local/bin', '/var/lib'] as const),
	// K3s makes and removes files meanwhile. All else below /var/lib is of others, and may be large.
	...['-ignore_readdir_race', '-mindepth', '1', '-maxdepth', '6'],
	...['(', '-path', '/var/lib/*', '!', '-path', '/var/lib/bringup*', '!', '-path', '/var/lib/rancher*', '-prune', ')'],
	...['-o', '(', '-path', '/var/lib/rancher/k3s/data', '-o', '-path', '/var/lib/rancher/k3s/storage', ')', '-prune'],
	...['-o', '-printf', '%p\\t%s\\t%T@\\t%l\\n'],
];

/** What lies where K3s and the assets do, by path. */
export async function readK3sFiles(probe: Probe): Promise<ReadonlyMap<string, Listed>> {
	const lines = (await probe.output(listK3sFiles)).split('\n').filter(Boolean);
	return new Map(
		lines.map(line => {
			const [path = '', size = '', time = '', target = ''] = line.split('\t');
			return [path, {size, time, target}];
		}),
	);
}

/**
 * The steps to a copy of an asset. The copy has the asset's time, is whole before it gets its name, and so is known by
 * size and time: reading hundreds of megabytes at every boot would take longer than all else.
 */
export function planCopy(files: ReadonlyMap<string, Listed>, asset: Asset, path: string, mode: string): Step[] {
	const from = assetPath(asset);
	const [wanted, found] = [files.get(from), files.get(path)];
	if (wanted && found?.size === wanted.size && found.time === wanted.time && found.target === '') return [];
	const temporary = path.replace(/[^/]+$/, '.$&.bringup');
	const copy = ['--preserve-timestamps', `--mode=${mode}`, '--no-target-directory', from, temporary];
	return [
		{do: 'run', command: ['install', '-D', ...copy], why: `copy ${path} from the assets`},
		{do: 'run', command: ['sync', temporary], why: `make ${path} durable`},
		{do: 'run', command: ['mv', '--force', '--no-target-directory', temporary, path], why: `put ${path} in place`},
	];
}
