import type {Login, Machine} from '../builder/boot/machine.ts';

/** What two installs of one profile are compared by. */
export interface Installed {
	packages: string[];
	/** Files below /etc with their digests. */
	files: string[];
	/** Units that start at boot. */
	units: string[];
	/** Partitions: number, size, type, name. */
	partitions: string[];
	mounts: string[];
}

/** What no two machines share, whoever installed them. */
const own = /^\/etc\/(machine-id|ssh\/ssh_host_|ssh\/authorized_keys\.d\/|bringup\/|g?shadow-? )/;

const lines = (text: string) => text.split('\n').filter(Boolean).sort();

/** Asks an installed machine for all that it is compared by. */
export async function readInstalled(machine: Machine, login: Login): Promise<Installed> {
	const ask = async (...command: string[]) => lines(await machine.run(login, ['sudo', ...command]));
	// biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg-query's own syntax
	const format = '${Package} ${Version}\n';
	const digests = await ask('find', '/etc', '-type', 'f', '-exec', 'sha256sum', '{}', '+');
	const units = await ask('systemctl', 'list-unit-files', '--state=enabled', '--no-legend', '--plain');
	const listing = await ask(
		'lsblk',
		'--noheadings',
		'--raw',
		'--output',
		'NAME,SIZE,PARTTYPE,PARTLABEL',
		'/dev/nvme0n1',
	);
	return {
		packages: await ask('dpkg-query', '--show', '--showformat', format),
		files: digests
			.map(line => line.replace(/^(\S{12})\S* +(.*)$/, '$2 $1'))
			.filter(line => !own.test(line))
			.sort(),
		units: units.map(line => line.split(/ +/)[0] ?? ''),
		partitions: listing,
		mounts: await ask('findmnt', '--fstab', '--noheadings', '--raw', '--output', 'TARGET,FSTYPE,OPTIONS'),
	};
}

/** By what one has more than the other, by kind; nothing where they are the same. */
export function compare(one: Installed, other: Installed): Record<string, {only: string[]; missing: string[]}> {
	const kinds = Object.keys(one) as (keyof Installed)[];
	const differences = kinds.map(kind => {
		const [here, there] = [new Set(one[kind]), new Set(other[kind])];
		return [
			kind,
			{only: one[kind].filter(line => !there.has(line)), missing: other[kind].filter(line => !here.has(line))},
		] as const;
	});
	return Object.fromEntries(differences.filter(([, {only, missing}]) => only.length + missing.length > 0));
}

/** What docs/installer.md names as different: the words of the first column of its tables. */
export function findNamed(text: string): ReadonlySet<string> {
	const cells = text.split('\n').flatMap(line => /^\| (`[^|]*) \|/.exec(line)?.[1] ?? []);
	return new Set(cells.flatMap(cell => [...cell.matchAll(/`([^`]+)`/g)].map(([, word = '']) => word)));
}
