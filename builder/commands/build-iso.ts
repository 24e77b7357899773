import {resolve} from 'node:path';
import {parseArgs} from 'node:util';
import {fetchClusterFiles} from '../build/cluster.ts';
import {findCacheFolder, findClustersFolder} from '../paths.ts';
import {makeProgress} from '../progress.ts';
import {renderTree} from '../render/tree.ts';
import {UsageError} from '../run.ts';
import {keyPath, makePairedKey} from '../workstation.ts';
import {type CliCommand, defaultIso, load, type Surroundings} from './command.ts';
import {prepareRecovery} from './recovery.ts';

function readEpoch(environment: Surroundings['environment']): number | undefined {
	const text = environment['SOURCE_DATE_EPOCH'];
	if (text === undefined || text === '') return undefined;
	if (!/^\d+$/.test(text)) throw new UsageError(`SOURCE_DATE_EPOCH must be seconds since 1970, and is ${text}`);
	return Number(text);
}

export const buildIsoCommand: CliCommand = {
	summary: 'make the installer ISO of a profile',
	help: `usage: build-iso --profile NAME [--out FILE.iso] [--refresh] [--cache DIR] [--new-recovery-code] [--quiet]

  --profile NAME   a name in ./profiles or shipped with bringup, or a path
  --out FILE.iso   default: out/NAME.iso; its .sha256, .manifest.json and .log go beside it
  --refresh        ask the archive for new package lists first; else they are renewed when a day old
  --cache DIR      where downloads and finished bases are kept (default: $XDG_CACHE_HOME/bringup)
  --quiet          say only what went wrong
  --new-recovery-code   make a new code for the console; without it, one is made at a profile's first build and told once

SOURCE_DATE_EPOCH dates every file. Exit code 0: done. 1: something failed. 2: the profile has faults.
`,
	async run(argv, surroundings) {
		const {values} = parseArgs({
			args: [...argv],
			options: {
				profile: {type: 'string'},
				out: {type: 'string'},
				refresh: {type: 'boolean'},
				cache: {type: 'string'},
				quiet: {type: 'boolean'},
				'new-recovery-code': {type: 'boolean'},
			},
		});
		const {environment, err, signal} = surroundings;
		const began = performance.now();
		const wanted = values.out === undefined ? undefined : resolve(values.out);
		let loaded = await load(values.profile, surroundings, wanted);
		const iso = wanted ?? defaultIso(loaded.profile);
		const {buildIso, prepareOutput} = await import('../build/build.ts');
		await prepareOutput(iso);
		const progress = makeProgress(err, values.quiet ?? false);
		if (loaded.needsKey) {
			await makePairedKey(iso, `bringup ${loaded.profile.name}`);
			progress.say(`no key in ~/.ssh: made a pair; log in with  ssh -i ${keyPath(iso)}`);
			loaded = await load(values.profile, surroundings, iso);
		}
		const {profile, assets} = loaded;
		const {kubernetes, identity} = profile.fields;
		const clusters = findClustersFolder(environment);
		const cluster = kubernetes ? await fetchClusterFiles(kubernetes, identity.hostname, clusters) : [];
		const secrets = new Map([...loaded.secrets, ...cluster]);
		const recovery = await prepareRecovery(profile, secrets, values['new-recovery-code'] ?? false, surroundings);
		const cache = resolve(values.cache ?? findCacheFolder(environment));
		const options = {
			iso,
			cache,
			secrets: recovery.secrets,
			assets,
			refresh: values.refresh ?? false,
			epoch: readEpoch(environment),
			progress,
			signal,
			searchPath: environment['PATH'] ?? '',
		};
		const {buildId, made} = await buildIso(profile, await renderTree(profile), options);
		await recovery.tell(iso);
		const seconds = ((performance.now() - began) / 1000).toFixed(1);
		progress.say(
			made
				? `${iso}: build ${buildId}, in ${seconds} s`
				: `${iso}: build ${buildId} is there already, nothing to do (${seconds} s)`,
		);
		return 0;
	},
};
