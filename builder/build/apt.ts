import {createHash} from 'node:crypto';
import {mkdir, readFile, stat} from 'node:fs/promises';
import {extname, join} from 'node:path';
import {writeWhole} from '../folder.ts';
import type {CompleteProfile} from '../profile/complete.ts';
import {type Command, type ProgramError, run, UserError} from '../run.ts';

export type Debian = CompleteProfile['fields']['debian'];

const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg';

/** A source of apt. */
export const formatSource = (uri: string, suite: string, components: string, key = keyring) =>
	`deb [signed-by=${key}] ${uri} ${suite} ${components}\n`;

/** Release, updates and security updates of the profile's Debian, and the archives beside it. */
export function formatSources({release, mirror, securityMirror, components, archives}: Debian): string {
	const all = components.join(' ');
	return [
		formatSource(mirror, release, all),
		formatSource(mirror, `${release}-updates`, all),
		formatSource(securityMirror, `${release}-security`, all),
		...Object.values(archives).map(({uri, suite, components, key}) =>
			formatSource(uri, suite, components.join(' '), key),
		),
	].join('');
}

/**
 * The archives with copies of their keys in the cache: in apt's sources a path has no space and no comma. Throws a UserError
 * where the cache's own path has one.
 */
export async function placeKeys(debian: Debian, cache: string): Promise<Debian> {
	const archives: [string, Debian['archives'][string]][] = [];
	for (const [name, archive] of Object.entries(debian.archives)) {
		const content = await readFile(archive.key);
		const digest = createHash('sha256').update(content).digest('hex').slice(0, 16);
		const key = join(cache, 'apt/keys', `${digest}${extname(archive.key)}`); // apt tells the two kinds by the ending
		if (/[\s,]/.test(key))
			throw new UserError(
				`apt takes no key from ${key}: choose a cache whose path has no space and no comma (--cache)`,
			);
		await writeIfNew(key, content);
		archives.push([name, {...archive, key}]);
	}
	return {...debian, archives: Object.fromEntries(archives)};
}

/** How this workstation's own apt gets out, for a profile that does not say: its proxies, or the program that finds one. */
async function readOwnProxies(): Promise<Record<string, string>> {
	const dump = await run(['apt-config', 'dump', '--format', '%F %v%n']).catch(() => '');
	const found = dump.matchAll(/^(Acquire::https?::(?:Proxy|Proxy-Auto-Detect|ProxyAutoDetect)(?:::\S+)?) (.+)$/gim);
	return Object.fromEntries([...found].map(([, name = '', value = '']) => [name, value]));
}

function formatAptConfig(folder: string, archives: string, proxies: Readonly<Record<string, string>>): string {
	const settings: Record<string, string> = {
		'Dir::State': folder,
		'Dir::State::lists': join(folder, 'lists'),
		'Dir::State::status': join(folder, 'status'),
		'Dir::Cache': folder,
		'Dir::Cache::archives': archives,
		'Dir::Etc::sourcelist': join(folder, 'sources.list'),
		'Dir::Etc::sourceparts': '/dev/null',
		'Dir::Etc::main': '/dev/null',
		'Dir::Etc::parts': '/dev/null',
		'Dir::Etc::preferences': '/dev/null',
		'Dir::Etc::preferencesparts': '/dev/null',
		'APT::Architecture': 'amd64',
		'APT::Architectures': 'amd64',
		'APT::Install-Recommends': 'false',
		'APT::Keep-Downloaded-Packages': 'true',
		'Acquire::Languages': 'none',
		'Acquire::Retries': '2',
		'Acquire::http::Timeout': '20',
		...proxies,
	};
	return Object.entries(settings)
		.map(([key, value]) => `${key} "${value.replaceAll('"', '%22')}";\n`)
		.join('');
}

/** apt with this index instead of the workstation's; one at a time, because apt itself would give up on a lock. */
export function apt(
	index: {folder: string},
	...args: [string, ...string[]]
): {command: Command; env: Record<string, string>} {
	return {
		command: ['flock', '--no-fork', join(index.folder, 'lock'), ...args] as const,
		env: {APT_CONFIG: join(index.folder, 'apt.conf')},
	};
}

/** Writes a file unless it has this content and mode. */
async function writeIfNew(path: string, content: string | Buffer, mode = 0o644): Promise<void> {
	const found = await stat(path).catch(() => undefined);
	const isSame = found && (found.mode & 0o777) === mode && (await readFile(path)).equals(Buffer.from(content));
	if (!isSame) await writeWhole(path, content, mode);
}

/** apt's own words for what went wrong with a download, and what to do about it. */
export function explainDownload(error: ProgramError, mirror: string): string {
	const failed = [...new Set(error.output.split('\n').filter(line => /^(E|W|Err)[: ]|^ +\d{3} /.test(line)))]
		.slice(0, 8)
		.join('\n  ');
	const remedies: [RegExp, string][] = [
		[
			/does not have a Release file/,
			`${mirror} has no such release; check debian.mirror, debian.securityMirror and debian.release`,
		],
		[
			/404\s+Not Found/,
			'the mirror does not have what its own lists name, as happens while it is being updated. Run again with --refresh; if it stays so, name another mirror (debian.mirror)',
		],
		[/./, `check the network and the mirror (${mirror}); behind a proxy, set debian.proxy`],
	];
	const [, remedy] = remedies.find(([pattern]) => pattern.test(error.output)) ?? [];
	return `could not download from the Debian archive:\n  ${failed}\n${remedy}`;
}

/** The folder in which apt works for these sources, with its settings. Throws a UserError where apt could not work there. */
export async function makeAptFolder(debian: Debian, sources: string, cache: string): Promise<string> {
	if (/["\\\n]/.test(cache))
		throw new UserError(
			`apt cannot work in ${cache}: choose a cache whose path has no quote and no backslash (--cache)`,
		);
	const folder = join(cache, 'apt', createHash('sha256').update(sources).digest('hex').slice(0, 16));
	const archives = join(cache, 'packages');
	await Promise.all(
		[join(folder, 'lists/partial'), join(archives, 'partial')].map(path => mkdir(path, {recursive: true})),
	);
	const {proxy} = debian;
	const proxies = proxy ? {'Acquire::http::Proxy': proxy, 'Acquire::https::Proxy': proxy} : await readOwnProxies();
	// A proxy and a mirror may have a password in their addresses.
	await writeIfNew(join(folder, 'sources.list'), sources, 0o600);
	await writeIfNew(join(folder, 'status'), '');
	await writeIfNew(join(folder, 'apt.conf'), formatAptConfig(folder, archives, proxies), 0o600);
	return folder;
}

/** Gives a folder to the user whose rights apt downloads with as root; another user's apt has no more than his own. */
export async function giveToApt(folder: string): Promise<void> {
	if (process.getuid?.() === 0) await run(['chown', '_apt', folder]);
}
