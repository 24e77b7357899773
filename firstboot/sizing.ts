import {parseSize} from './disks.ts';
import type {Virtualization} from './virtualization.ts';

/** What a machine has to share out: bytes of memory, processors. */
export interface Capacity {
	memory?: number | undefined;
	cpus?: number | undefined;
}

/** Bytes for people, in powers of 1024. */
export function formatBytes(bytes: number): string {
	return `${Number((bytes / 2 ** 30).toFixed(1))}G`;
}

/** The memory that the machine was sold with: firmware and kernel keep some percent of it, and it comes in eighths of a power of two. */
export function roundMemory(usable: number): number {
	const unit = 2 ** Math.floor(Math.log2(usable)) / 8;
	return Math.ceil(usable / unit) * unit;
}

function explain(
	domains: Virtualization['domains'],
	of: (domain: Virtualization['domains'][string]) => string,
): string {
	return Object.entries(domains)
		.map(([name, domain]) => `${name} ${of(domain)}`)
		.join(', ');
}

/** What the domains ask for beyond what the machine has, each as a sentence with its remedy; [] when they fit. */
export function findShortages({domains, reserve, cpuOvercommit}: Virtualization, capacity: Capacity): string[] {
	const shortages: string[] = [];
	const memory = Object.values(domains).reduce((sum, domain) => sum + parseSize(domain.memory), 0);
	const kept = parseSize(reserve.memory);
	if (capacity.memory !== undefined && memory > 0 && memory + kept > capacity.memory)
		shortages.push(
			`the domains take ${formatBytes(memory)} of memory (${explain(domains, ({memory}) => memory)}) and the machine keeps ${reserve.memory}: ${formatBytes(memory + kept)}, and it has ${formatBytes(capacity.memory)}; give a domain less, or lower virtualization.reserve.memory`,
		);
	const cpus = Object.values(domains).reduce((sum, domain) => sum + domain.cpus, 0);
	if (capacity.cpus === undefined || cpus === 0) return shortages;
	const most = Math.floor(Math.max(0, capacity.cpus - reserve.cpus) * cpuOvercommit);
	if (cpus > most)
		shortages.push(
			`the domains take ${cpus} virtual processors (${explain(domains, ({cpus}) => String(cpus))}); ${capacity.cpus} processors less ${reserve.cpus} that the machine keeps, times cpuOvercommit ${cpuOvercommit}, are ${most}; give a domain less, or change virtualization.reserve.cpus or cpuOvercommit`,
		);
	// A domain with more processors than the machine waits for itself.
	for (const [name, domain] of Object.entries(domains))
		if (domain.cpus > capacity.cpus)
			shortages.push(
				`${name} takes ${domain.cpus} virtual processors and the machine has ${capacity.cpus}; give it less`,
			);
	return shortages;
}

/** A folder of disks, the bytes of its disks, and whether they may be more than the file system. */
export interface FolderOfDisks {
	path: string;
	bytes: number;
	thin: boolean;
}

/** The folders of disks that ask for more than their file system has, each as a sentence with its remedy. */
export function findFullFolders(
	folders: readonly FolderOfDisks[],
	mounts: readonly {target: string; size: number}[],
	reserve: string,
): string[] {
	const held = new Map<(typeof mounts)[number], FolderOfDisks[]>();
	for (const folder of folders.filter(({thin, bytes}) => !thin && bytes > 0)) {
		const holds = ({target}: {target: string}) => target === '/' || `${folder.path}/`.startsWith(`${target}/`);
		const [mount] = mounts.filter(holds).sort((a, b) => b.target.length - a.target.length);
		if (mount) held.set(mount, [...(held.get(mount) ?? []), folder]);
	}
	return [...held].flatMap(([mount, inside]) => {
		const bytes = inside.reduce((sum, folder) => sum + folder.bytes, 0);
		if (bytes + parseSize(reserve) <= mount.size) return [];
		const names = inside.map(({path}) => path).join(', ');
		return `the disks of domains in ${names} take ${formatBytes(bytes)} and the machine keeps ${reserve}; the file system at ${mount.target} has ${formatBytes(mount.size)}. Give a disk less, lower virtualization.reserve.storage, or set \`thin: true\` on the pool`;
	});
}
