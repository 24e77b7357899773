import {homedir} from 'node:os';
import {dirname, join} from 'node:path';
import {fileURLToPath} from 'node:url';

/** The folder of the installed package: templates, profiles and docs are below it. */
export const packageFolder = join(dirname(fileURLToPath(import.meta.url)), '..', '..');

/** What must outlive the cache: it cannot be made again. */
export function findDataFolder(environment: Readonly<Record<string, string | undefined>>): string {
	return join(environment['XDG_DATA_HOME'] || join(homedir(), '.local/share'), 'bringup');
}

/** Where builds keep what they need again. */
export function findCacheFolder(environment: Readonly<Record<string, string | undefined>>): string {
	const base = environment['XDG_CACHE_HOME'] || join(homedir(), '.cache');
	return environment['BRINGUP_CACHE'] || join(base, 'bringup');
}

/** Where this person's clusters are kept: what builds made once and cannot make again. */
export function findClustersFolder(environment: Readonly<Record<string, string | undefined>>): string {
	return join(environment['XDG_DATA_HOME'] || join(homedir(), '.local/share'), 'bringup/clusters');
}
