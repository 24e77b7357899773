import {homedir} from 'node:os';
import {dirname, join} from 'node:path';
import {fileURLToPath} from 'node:url';

type Environment = Readonly<Record<string, string | undefined>>;

/** The folder of the installed package: templates, profiles and docs are below it. */
export const packageFolder = join(dirname(fileURLToPath(import.meta.url)), '..', '..');

/** This person's own folder. */
export const findHome = (environment: Environment): string => environment['HOME'] || homedir();

/** What must outlive the cache: it cannot be made again. */
export function findDataFolder(environment: Environment): string {
	return join(environment['XDG_DATA_HOME'] || join(findHome(environment), '.local/share'), 'bringup');
}

/** What a service knows and must know again after a reboot (XDG base directory specification, $XDG_STATE_HOME). */
export function findStateFolder(environment: Environment): string {
	return join(environment['XDG_STATE_HOME'] || join(findHome(environment), '.local/state'), 'bringup');
}

/** Where builds keep what they need again. */
export function findCacheFolder(environment: Environment): string {
	// Root's own folder lets nobody in, and apt downloads with the rights of _apt.
	const own = process.getuid?.() === 0 ? '/var/cache' : join(findHome(environment), '.cache');
	return environment['BRINGUP_CACHE'] || join(environment['XDG_CACHE_HOME'] || own, 'bringup');
}

/** The key by which this user knows what he has put into a cache: in no cache, and of nobody else. */
export function findCacheKey(environment: Environment): string {
	return environment['BRINGUP_CACHE_KEY'] || join(findDataFolder(environment), 'cache-key');
}

/** Where this person's clusters are kept: what builds made once and cannot make again. */
export function findClustersFolder(environment: Environment): string {
	return join(environment['XDG_DATA_HOME'] || join(findHome(environment), '.local/share'), 'bringup/clusters');
}
