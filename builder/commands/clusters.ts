import {chown, readdir, stat} from 'node:fs/promises';
import {join} from 'node:path';
import {fetchMembers, type Membership, makeCluster} from '../build/cluster.ts';
import {findClustersFolder} from '../paths.ts';
import {run, UsageError} from '../run.ts';
import type {Surroundings} from './command.ts';

type Environment = Surroundings['environment'];

/** Who called sudo, where this runs under it: his folder is where a build without sudo looks. */
async function readCaller(environment: Environment): Promise<{home: string; uid: number; gid: number} | undefined> {
	const {SUDO_USER: name = '', SUDO_UID: uid, SUDO_GID: gid, XDG_DATA_HOME: data} = environment;
	if (process.getuid?.() !== 0 || name === '' || name === 'root' || data) return undefined;
	const home = (await run(['getent', 'passwd', name]).catch(() => '')).split(':')[5];
	return home ? {home, uid: Number(uid), gid: Number(gid)} : undefined;
}

const isThere = async (path: string) => (await stat(path).catch(() => undefined)) !== undefined;

/** The folders in which this person may have clusters; a new one is made in the first. */
export async function listClustersFolders(environment: Environment): Promise<string[]> {
	const caller = await readCaller(environment);
	const own = findClustersFolder(environment);
	return caller ? [...new Set([join(caller.home, '.local/share/bringup/clusters'), own])] : [own];
}

/** The folder of clusters that has this one; undefined where none has. Throws a UsageError where two have one of the name. */
export async function findCluster(cluster: string, environment: Environment): Promise<string | undefined> {
	const folders = await listClustersFolders(environment);
	const found = [];
	for (const folder of folders) if (await isThere(join(folder, cluster))) found.push(folder);
	if (found.length > 1)
		throw new UsageError(
			`there are two clusters ${cluster}, with other keys: in ${found.map(folder => join(folder, cluster)).join(' and ')}. Move the one away that no machine is of`,
		);
	return found[0];
}

/** What was made under sudo belongs to who called it. */
async function giveToCaller(folder: string, cluster: string, environment: Environment): Promise<void> {
	const caller = await readCaller(environment);
	if (!caller || !folder.startsWith(`${caller.home}/`)) return;
	const above = ['.local', '.local/share', '.local/share/bringup'].map(path => join(caller.home, path));
	const below = await readdir(join(folder, cluster), {recursive: true});
	const own = [folder, join(folder, cluster), ...below.map(name => join(folder, cluster, name))];
	for (const path of above) if ((await stat(path)).uid === 0) own.push(path); // made on the way
	for (const path of own) await chown(path, caller.uid, caller.gid);
}

/**
 * The files of clusters that a build brings. A cluster that is not there yet is made, and the build says where it is and
 * that it cannot be made again; in CI, where the folder may be gone tomorrow, only when it is asked for.
 */
export async function fetchClusters(
	members: readonly Membership[],
	isNewWanted: boolean,
	{environment, err}: Surroundings,
): Promise<Map<string, string>> {
	const files = new Map<string, string>();
	for (const cluster of new Set(members.map(({member}) => member.cluster))) {
		const found = await findCluster(cluster, environment);
		const folder = found ?? (await listClustersFolders(environment))[0] ?? '';
		const place = join(folder, cluster);
		if (found === undefined) {
			if (environment['CI'] && !isNewWanted)
				throw new UsageError(
					`the cluster ${cluster} is not in ${folder}, and a run of CI makes none by itself: each would be another cluster. Bring it with bringup cluster import, or say --new-cluster and keep ${place}`,
				);
			await makeCluster(folder, cluster);
			await giveToCaller(folder, cluster, environment);
			err.write(
				`made the keys and tokens of the cluster ${cluster}, in ${place}. They cannot be made again: keep a copy, with  bringup cluster export ${cluster}\n`,
			);
		}
		const own = members.filter(({member}) => member.cluster === cluster);
		for (const [path, text] of await fetchMembers(own, folder)) files.set(path, text);
	}
	return files;
}
