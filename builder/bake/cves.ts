import {readdir, readFile} from 'node:fs/promises';
import {join} from 'node:path';
import {gunzipSync} from 'node:zlib';
import type {Difference} from '../build/difference.ts';
import type {Package} from '../build/packages.ts';
import {withFolder} from '../folder.ts';
import {pipe, run} from '../run.ts';

/** The vulnerabilities that a Debian changelog names in the entries after a version (deb-changelog(5)); undefined where it does not reach back to it. */
export function findCves(changelog: string, after: string): string[] | undefined {
	const source = after.replace(/\+b\d+$/, ''); // built again of the same source
	const begin = changelog.split('\n').findIndex(line => /^\S+ \(([^)]+)\)/.exec(line)?.[1] === source);
	if (begin < 0) return undefined;
	const entries = changelog.split('\n').slice(0, begin).join('\n');
	return [...new Set(entries.match(/CVE-\d{4}-\d{4,}/g) ?? [])].sort();
}

/** A kernel has its version in the name of its package, and so another package is the old one. */
const plainName = (name: string) => name.replace(/^(linux-image)-\d[^-]*(?=-)/, '$1');

/** The version that a package had before, where it is here under another name too. */
function findOld({name, old}: Difference, differences: readonly Difference[]): string | undefined {
	const same = (other: Difference) => other.new === undefined && plainName(other.name) === plainName(name);
	return old ?? (plainName(name) === name ? undefined : differences.find(same)?.old);
}

async function readChangelog(deb: string, work: string): Promise<string | undefined> {
	const names = ['--wildcards', '--wildcards-match-slash', './usr/share/doc/*/changelog*'];
	await run(['rm', '-rf', join(work, 'usr')]);
	await pipe(['dpkg-deb', '--fsys-tarfile', deb], ['tar', '--extract', '--directory', work, ...names]);
	const folder = join(work, 'usr/share/doc');
	const [own = ''] = await readdir(folder).catch((): string[] => []);
	const found = await readdir(join(folder, own)).catch((): string[] => []);
	const name = ['changelog.Debian.gz', 'changelog.gz'].find(name => found.includes(name));
	return name === undefined ? undefined : gunzipSync(await readFile(join(folder, own, name))).toString();
}

/** The vulnerabilities that new versions mend, as far as the packages themselves say: some have their changelog in another one. */
export async function readCves(
	differences: readonly Difference[],
	packages: readonly Package[],
	cache: string,
): Promise<Map<string, string[]>> {
	const cves = new Map<string, string[]>();
	await withFolder(cache, async work => {
		for (const difference of differences) {
			const {name, new: now} = difference;
			const old = findOld(difference, differences);
			const file = packages.find(one => one.name === name)?.file;
			if (old === undefined || now === undefined || file === undefined) continue;
			const changelog = await readChangelog(join(cache, 'packages', file), work).catch(() => undefined);
			const found = changelog === undefined ? undefined : findCves(changelog, old);
			if (found) cves.set(name, found);
		}
	});
	return cves;
}
