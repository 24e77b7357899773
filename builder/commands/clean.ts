import {stat} from 'node:fs/promises';
import {resolve} from 'node:path';
import {parseArgs} from 'node:util';
import {type CacheItem, cleanCache, listCache} from '../build/clean.ts';
import {findCacheFolder} from '../paths.ts';
import {checkPrograms, UsageError} from '../run.ts';
import type {CliCommand} from './command.ts';

const day = 24 * 3600 * 1000;

const inMegabytes = (items: readonly CacheItem[]) =>
	`${(items.reduce((sum, {bytes}) => sum + bytes, 0) / 1e6).toFixed(0)} MB`;

function format(removed: readonly CacheItem[], kept: readonly CacheItem[], verb: string): string {
	const kinds = [...new Set([...removed, ...kept].map(({kind}) => kind))].sort();
	const lines = kinds.map(kind => {
		const [gone, there] = [removed, kept].map(list => list.filter(item => item.kind === kind)) as [
			CacheItem[],
			CacheItem[],
		];
		return `${kind.padEnd(10)} ${verb} ${gone.length} (${inMegabytes(gone)}), ${there.length} stay (${inMegabytes(there)})\n`;
	});
	return `${lines.join('')}${verb} ${inMegabytes(removed)}; ${inMegabytes(kept)} stay\n`;
}

export const clean: CliCommand = {
	summary: 'remove from the cache what no build has used for a while',
	help: `usage: bringup clean [--older-than DAYS | --all] [--dry-run] [--json] [--cache DIR]

  --older-than DAYS  what no build has used for so long (default: 30)
  --all              everything that can be made or fetched again
  --dry-run          remove nothing, and say what would be
  --json             what was removed, and what stays, on standard output
  --cache DIR        of this cache (default: $XDG_CACHE_HOME/bringup; of root: /var/cache/bringup)

Artefacts, and what is in $XDG_DATA_HOME/bringup (clusters, recovery codes, the cache's key), are not touched. While a
build uses the cache nothing is removed: exit code 1. Other files in the folder stay.
`,
	async run(argv, {environment, out}) {
		const flag = {type: 'boolean'} as const;
		const text = {type: 'string'} as const;
		const options = {'older-than': text, all: flag, 'dry-run': flag, json: flag, cache: text} as const;
		const {values} = parseArgs({args: [...argv], options});
		if (values.all && values['older-than'] !== undefined) throw new UsageError('say --all or --older-than, not both');
		const days = values.all ? 0 : Number(values['older-than'] ?? 30);
		if (values['older-than'] === '' || !Number.isFinite(days) || days < 0)
			throw new UsageError('--older-than is a number of days');
		const cache = resolve(values.cache ?? findCacheFolder(environment));
		const isThere = await stat(cache).then(
			() => true,
			() => false,
		);
		await checkPrograms(['flock', 'setpriv'], environment['PATH'] ?? '');
		const before = isThere ? await listCache(cache) : [];
		const until = Date.now() - days * day;
		const isUnneeded = ({used}: CacheItem) => used <= until;
		const dry = values['dry-run'] ?? false;
		const removed = dry || !isThere ? before.filter(isUnneeded) : await cleanCache(cache, isUnneeded);
		const gone = new Set(removed.map(({path}) => path));
		const kept = before.filter(({path}) => !gone.has(path));
		if (values.json) out.write(`${JSON.stringify({cache, dryRun: dry, removed, kept}, undefined, '\t')}\n`);
		else out.write(format(removed, kept, dry ? 'would remove' : 'removed'));
		return 0;
	},
};
