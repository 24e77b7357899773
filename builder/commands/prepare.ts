import {resolve} from 'node:path';
import type {Keys} from '../bake/attest.ts';
import {listMembers} from '../build/cluster.ts';
import {openMac} from '../build/mac.ts';
import type {PartsOptions} from '../build/parts.ts';
import {findCacheFolder, findCacheKey} from '../paths.ts';
import {type CompleteProfile, noteMirror} from '../profile/complete.ts';
import type {Progress} from '../progress.ts';
import {UsageError} from '../run.ts';
import {checkArchitecture, keyPath, makePairedKey} from '../workstation.ts';
import {fetchClusters} from './clusters.ts';
import {load, refuseExamples, type Surroundings} from './command.ts';
import {prepareRecovery} from './recovery.ts';

/** What every command takes that builds something of a profile. */
export const buildOptions = {
	profile: {type: 'string'},
	out: {type: 'string'},
	refresh: {type: 'boolean'},
	cache: {type: 'string'},
	quiet: {type: 'boolean'},
	'new-recovery-code': {type: 'boolean'},
	'new-cluster': {type: 'boolean'},
} as const;

export const buildHelp = `  --refresh        ask the archive for new package lists first; else they are renewed when a day old
  --cache DIR      where downloads and finished bases are kept (default: $XDG_CACHE_HOME/bringup; of root: /var/cache/bringup)
  --quiet          say only what went wrong
  --new-recovery-code   make a new code for the console; without it, one is made at a profile's first build and told once
  --new-cluster    make the keys of a cluster that is not there also in CI ($CI); elsewhere they are made without it

SOURCE_DATE_EPOCH dates every file, also in the place of a lock's date. TMPDIR says where root file systems are put together. Exit code 0: done. 1: something failed. 2: the profile has faults.
`;

export const keyOptions = {sign: {type: 'string'}, 'sign-provenance': {type: 'string'}} as const;

/** The keys that sign, by the words of the command line. */
export const readKeys = (signing: string | undefined, provenance: string | undefined): Keys => ({
	signing: signing === undefined ? undefined : {key: resolve(signing)},
	provenance: provenance === undefined ? undefined : resolve(provenance),
});

interface Given {
	profile?: string | undefined;
	out?: string | undefined;
	refresh?: boolean | undefined;
	cache?: string | undefined;
	'new-recovery-code'?: boolean | undefined;
	'new-cluster'?: boolean | undefined;
}

export interface Prepared {
	profile: CompleteProfile;
	/** Where the artefact goes. */
	out: string;
	options: PartsOptions;
	/** Tells what is told once, when the artefact is made. */
	tell(): Promise<void>;
}

function readEpoch(environment: Surroundings['environment']): number | undefined {
	const text = environment['SOURCE_DATE_EPOCH'];
	if (text === undefined || text === '') return undefined;
	if (!/^\d+$/.test(text)) throw new UsageError(`SOURCE_DATE_EPOCH must be seconds since 1970, and is ${text}`);
	return Number(text);
}

/** Loads a profile for a build: what it leaves to this workstation is filled in, keys, clusters and codes made where there are none. */
export async function prepareBuild(
	given: Given,
	place: {default: (profile: CompleteProfile) => string; check: (out: string) => Promise<void>},
	progress: Progress,
	surroundings: Surroundings,
): Promise<Prepared> {
	checkArchitecture(process.arch);
	const {environment, signal} = surroundings;
	const wanted = given.out === undefined ? undefined : resolve(given.out);
	let loaded = await load(given.profile, surroundings, wanted);
	refuseExamples(loaded.profile);
	const out = wanted ?? place.default(loaded.profile);
	await place.check(out);
	if (loaded.needsKey) {
		await makePairedKey(out, `bringup ${loaded.profile.name}`);
		progress.say(`no key in ~/.ssh: made a pair; log in with  ssh -i ${keyPath(out)}`);
		loaded = await load(given.profile, surroundings, out);
	}
	const {profile, assets} = loaded;
	for (const line of loaded.letIn) progress.say(line);
	surroundings.err.write(noteMirror(profile) ?? '');
	const brought = await fetchClusters(listMembers(profile), given['new-cluster'] ?? false, surroundings);
	const secrets = new Map([...loaded.secrets, ...brought]);
	const recovery = await prepareRecovery(profile, secrets, given['new-recovery-code'] ?? false, surroundings);
	const options = {
		cache: resolve(given.cache ?? findCacheFolder(environment)),
		mac: await openMac(findCacheKey(environment)),
		secrets: recovery.secrets,
		assets,
		refresh: given.refresh ?? false,
		epoch: readEpoch(environment),
		progress,
		signal,
		work: environment['TMPDIR'] || undefined,
		searchPath: environment['PATH'] ?? '',
	};
	return {profile, out, options, tell: () => recovery.tell(out)};
}
