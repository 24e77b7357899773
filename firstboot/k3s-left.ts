import {type Kubernetes, unitOf} from './k3s.ts';
import {type Owned, planOwned} from './owned.ts';
import type {Probe, Step} from './phase.ts';

export const registriesPath = '/etc/rancher/k3s/registries.yaml';

/** The steps that take the unit of another role away: K3s as a server and as an agent share one folder, and only one may run. */
export async function planNoUnit(role: Kubernetes['role'], why: string, probe: Probe): Promise<Step[]> {
	const unit = unitOf({role});
	const path = `/etc/systemd/system/${unit}`;
	// K3s's own installer gives its unit the same name.
	if (!(await probe.read(path))?.includes('/usr/bin/bringup start-k3s')) return [];
	return [
		{do: 'run', command: ['systemctl', 'disable', '--now', unit], why: `stop ${unit}, ${why}`},
		{do: 'run', command: ['rm', path], why: `remove ${unit}`},
		{do: 'run', command: ['systemctl', 'daemon-reload'], why: `let systemd forget ${unit}`},
	];
}

/** The files that bringup has given K3s by the profile's word, against those that it gives now. */
export function planGiven(paths: readonly string[], probe: Probe): Promise<Owned> {
	return planOwned('files-of-k3s', paths, probe);
}

/** The steps that remove the files that left the profile. */
export function removeLeft({left, after}: Owned, isThere: (path: string) => boolean): Step[] {
	const found = left.filter(isThere);
	const remove = (path: string): Step => ({
		do: 'run',
		command: ['rm', path],
		why: `remove ${path}, which is not in the profile`,
	});
	return [...found.map(remove), ...after];
}

/** The steps that stop K3s, when the profile has no section for it any more. Its data stay. */
export async function planNoK3s(probe: Probe): Promise<Step[]> {
	const why = 'which is not in the profile; its pods end with the next boot, and its data stay';
	const units = [...(await planNoUnit('server', why, probe)), ...(await planNoUnit('agent', why, probe))];
	const given = await planGiven([], probe);
	const found = await Promise.all(given.left.map(async path => ((await probe.read(path)) === undefined ? [] : [path])));
	return [...units, ...removeLeft(given, path => found.flat().includes(path))];
}
