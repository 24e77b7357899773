import {dirname, join, resolve} from 'node:path';
import {parseArgs} from 'node:util';
import {formatDifference, listDifference} from '../build/difference.ts';
import {listLocked, makeLock, readLock} from '../build/lock.ts';
import {openMac} from '../build/mac.ts';
import {readMaker} from '../build/maker.ts';
import {checkReplaced, hasKeys, withCache} from '../build/output.ts';
import {resolveFromArchive} from '../build/parts.ts';
import {writeWhole} from '../folder.ts';
import {findCacheFolder, findCacheKey} from '../paths.ts';
import {makeProgress} from '../progress.ts';
import {listImagePackages} from '../render/view.ts';
import {checkPrograms} from '../run.ts';
import {type CliCommand, load} from './command.ts';

export const lock: CliCommand = {
	summary: 'pin every package of a profile',
	help: `usage: bringup lock --profile NAME [--out FILE] [--cache DIR] [--quiet]

  --profile NAME   a name in ./profiles or shipped with bringup, or a path
  --out FILE       default: the lock that the profile names, or NAME.lock.json beside the profile; name it there:
                   debian: {lock: NAME.lock.json}
  --cache DIR      where downloads are kept (default: $XDG_CACHE_HOME/bringup; of root: /var/cache/bringup)

Asks the archive, and writes name, version, digest and size of every package, the digests of the assets, and the date
of all files. A build from a lock by the same tools is the same to the byte, whenever it is made. The installed machine is
not bound by it: its updates come from Debian as ever. What differs from the lock before is printed.
`,
	async run(argv, surroundings) {
		const text = {type: 'string'} as const;
		const options = {profile: text, out: text, cache: text, quiet: {type: 'boolean'}} as const;
		const {values} = parseArgs({args: [...argv], options});
		const {environment, signal} = surroundings;
		await checkPrograms(['apt-get', 'apt-cache', 'flock', 'setpriv'], environment['PATH'] ?? '');
		const {profile, assets} = await load(values.profile, surroundings);
		const {lock: named} = profile.fields.debian;
		const place = named && resolve(profile.source.folderOf(['debian', 'lock']), named);
		const out = resolve(values.out ?? place ?? join(dirname(profile.path), `${profile.name}.lock.json`));
		const {say} = makeProgress(surroundings.err, values.quiet ?? false);
		const cache = resolve(values.cache ?? findCacheFolder(environment));
		const mac = await openMac(findCacheKey(environment));
		await checkReplaced(out, hasKeys('schema', 'release', 'packages'));
		const names = listImagePackages(profile.fields);
		const before = place === out ? await readLock(profile, []).catch(() => undefined) : undefined;
		const given = {cache, mac, refresh: true, say, signal};
		const {index, packages} = await withCache(cache, signal, () => resolveFromArchive(profile, names, given));
		const after = makeLock(index, names, packages, assets, await readMaker());
		await writeWhole(out, `${JSON.stringify(after, undefined, '\t')}\n`);
		for (const line of before ? formatDifference(listDifference(listLocked(before), packages)) : []) say(line);
		say(`${out}: ${packages.length} packages of ${after.release}, ${assets.length} assets`);
		return 0;
	},
};
