import {resolve} from 'node:path';
import {parseArgs} from 'node:util';
import {resolveInstaller} from '../build/installer/lock.ts';
import {openMac} from '../build/mac.ts';
import {checkReplaced, hasKeys, withCache} from '../build/output.ts';
import {withFolder, writeWhole} from '../folder.ts';
import {findCacheFolder, findCacheKey} from '../paths.ts';
import {makeProgress} from '../progress.ts';
import {checkPrograms, UsageError} from '../run.ts';
import {type CliCommand, load} from './command.ts';

/** NAME=VERSION, each name once. */
function readVersions(words: readonly string[]): Map<string, string> {
	return new Map(
		words.map(word => {
			const [, name, version] = /^([a-z0-9][a-z0-9.+-]*)=(\S+)$/.exec(word) ?? [];
			if (name === undefined || version === undefined) throw new UsageError(`--udeb ${word}: expected NAME=VERSION`);
			return [name, version];
		}),
	);
}

export const lockInstaller: CliCommand = {
	summary: 'pin which debian-installer a profile is installed with',
	help: `usage: bringup lock-installer --profile NAME [--out FILE] [--netboot VERSION] [--udeb NAME=VERSION]... [--refresh] [--cache DIR]

  --profile NAME     a name in ./profiles or shipped with bringup, or a path; its debian section is read
  --out FILE         default: installer-RELEASE.lock.json; name it in the profile: debian: {installerLock: FILE}
  --netboot VERSION  of Debian's package of kernel and initramfs, such as 20250803+deb13u6; default: the newest
  --udeb NAME=VERSION  another version of one udeb than the archive's index has, where the mirror lost that one

Kernel, initramfs and udebs must fit each other, and a mirror keeps them for one point release. The file is made only
when the mirror has them all; what Debian's signed index does not know is said, and pinned as the mirror gave it.
`,
	async run(argv, surroundings) {
		const options = {
			profile: {type: 'string'},
			out: {type: 'string'},
			netboot: {type: 'string'},
			udeb: {type: 'string', multiple: true},
			refresh: {type: 'boolean'},
			cache: {type: 'string'},
		} as const;
		const {values} = parseArgs({args: [...argv], options});
		const {environment, signal} = surroundings;
		await checkPrograms(
			['apt-get', 'apt-cache', 'flock', 'setpriv', 'dpkg-deb', 'tar', 'cpio'],
			environment['PATH'] ?? '',
		);
		const {profile} = await load(values.profile, surroundings);
		const {debian} = profile.fields;
		const out = resolve(values.out ?? `installer-${debian.release}.lock.json`);
		const {say} = makeProgress(surroundings.err, false);
		const cache = resolve(values.cache ?? findCacheFolder(environment));
		const mac = await openMac(findCacheKey(environment));
		await checkReplaced(out, hasKeys('schema', 'release', 'netboot'));
		const wishes = {netboot: values.netboot, udebs: readVersions(values.udeb ?? [])};
		const given = {cache, mac, refresh: values.refresh ?? false, say, signal};
		const lock = await withCache(cache, signal, () =>
			withFolder(cache, work => resolveInstaller(debian, wishes, work, given)),
		);
		await writeWhole(out, `${JSON.stringify(lock, undefined, '\t')}\n`);
		say(`${out}: ${lock.netboot.file.replace(/^.*\//, '')}, ${lock.udebs.length} udebs`);
		return 0;
	},
};
