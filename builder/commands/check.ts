import {resolve} from 'node:path';
import {parseArgs} from 'node:util';
import {findCacheFolder, findCacheKey} from '../paths.ts';
import {noteMirror} from '../profile/complete.ts';
import {ProfileError} from '../profile/faults.ts';
import {placeFacts} from '../profile/profile.ts';
import {type CliCommand, look, noteKey, refuseExamples} from './command.ts';

export const check: CliCommand = {
	summary: 'check a profile, its facts included, and build nothing',
	help: `usage: bringup check --profile NAME [--offline] [--refresh]

  --profile NAME   a name in ./profiles or shipped with bringup, or a path
  --offline        leave out what needs the archive's package lists: whether debian.packages exist
  --refresh        ask the archive for new package lists first
  --cache DIR      where downloads and finished bases are kept (default: $XDG_CACHE_HOME/bringup; of root: /var/cache/bringup)

Exit code 0: no fault. 2: faults, each with file:line:column. 3: no fault, but values of an example, each with its place.
It needs neither the values of secrets nor the files of assets.
`,
	async run(argv, surroundings) {
		const {values} = parseArgs({
			args: [...argv],
			options: {
				profile: {type: 'string'},
				offline: {type: 'boolean'},
				refresh: {type: 'boolean'},
				cache: {type: 'string'},
			},
		});
		const {profile, needsKey} = await look(values.profile, surroundings);
		const {debian} = profile.fields;
		if (!values.offline) {
			const [{checkPackages}, {openIndex}, {openMac}, {withCache}] = await Promise.all([
				import('../build/packages.ts'),
				import('../build/lists.ts'),
				import('../build/mac.ts'),
				import('../build/output.ts'),
			]);
			const say = (line: string) => void surroundings.err.write(`${line}\n`);
			const cache = resolve(values.cache ?? findCacheFolder(surroundings.environment));
			const mac = await openMac(findCacheKey(surroundings.environment));
			const {signal} = surroundings;
			const options = {cache, mac, refresh: values.refresh ?? false, say, signal};
			const faults = await withCache(cache, signal, async () =>
				checkPackages(await openIndex(debian, options), debian.packages),
			);
			if (faults.length > 0) throw new ProfileError(placeFacts(faults, profile.source));
		}
		refuseExamples(profile);
		const unchecked =
			values.offline && debian.packages.length > 0 ? '; whether its packages exist was not checked (--offline)' : '';
		surroundings.out.write(`${profile.name}: no fault${unchecked}\n`);
		surroundings.err.write(noteMirror(profile) ?? '');
		if (needsKey) surroundings.err.write(noteKey);
		return 0;
	},
};
