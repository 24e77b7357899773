import {createHash} from 'node:crypto';
import {access, readdir, readFile, rename, writeFile} from 'node:fs/promises';
import {basename, dirname, join} from 'node:path';
import {findKeyFault} from '../firstboot/facts/keys.ts';
import {withFolder} from './folder.ts';
import {findHome} from './paths.ts';
import {run, UserError} from './run.ts';

type Mirrors = {mirror: string | undefined; securityMirror: string | undefined};

/** Throws a UserError on a workstation that could not run the programs of an image while it is made. */
export function checkArchitecture(architecture: string): void {
	if (architecture === 'x64') return;
	throw new UserError(
		`bringup makes media for amd64, on amd64 alone; this workstation is ${architecture}. Use an amd64 one, or a virtual machine with that processor`,
	);
}

/** The mirrors in apt's list of what it would fetch. What else has a suite `stable` is known by its path, and by having no updates beside it. */
export function findMirrors(uris: string): Mirrors {
	const targets = [...uris.matchAll(/^'(\S+)\/dists\/(\S+)\/main\/binary-amd64\/Packages/gm)].map(
		([, uri = '', suite = '']) => ({uri, suite}),
	);
	const names = 'bookworm|trixie|forky|sid|stable|testing|unstable';
	const hasUpdates = ({uri, suite}: {uri: string; suite: string}) =>
		targets.some(other => other.uri === uri && other.suite === `${suite}-updates`);
	const main = targets.find(
		target => new RegExp(`^(${names})$`).test(target.suite) && (/\/debian$/.test(target.uri) || hasUpdates(target)),
	);
	const security = targets.find(({suite}) => new RegExp(`^(${names})-security$`).test(suite));
	const clean = (uri: string | undefined) => (uri && /^https?:/.test(uri) ? uri : undefined);
	return {mirror: clean(main?.uri), securityMirror: main && clean(security?.uri)};
}

/** The Debian archive of this workstation's own apt, and the one for security updates. Neither on a system without apt or without Debian. */
export async function readMirrors(): Promise<Mirrors> {
	// Without lists and status apt only reads its sources, and names what it would fetch.
	const nothing = ['-o', 'Dir::State::lists=/nonexistent', '-o', 'Dir::State::status=/dev/null'];
	return findMirrors(await run(['apt-get', 'update', '--print-uris', ...nothing]).catch(() => ''));
}

/** Debian's own archive, as the manual in mmdebstrap names it; undefined without that program, which every build needs. */
export async function readDebianMirror(searchPath: string): Promise<string | undefined> {
	for (const folder of searchPath.split(':')) {
		const text = await readFile(join(folder, 'mmdebstrap'), 'utf8').catch(() => undefined);
		const found = /I<MIRROR>\s+option\s+is\s+provided,\s+(?:then\s+)?L<(https?:[^>\s]+)>\s+is\s+used/.exec(
			text ?? '',
		)?.[1];
		if (found !== undefined) return found;
	}
	return undefined;
}

async function readKeyFile(path: string): Promise<string[]> {
	const line = (await readFile(path, 'utf8').catch(() => '')).trim();
	return line !== '' && findKeyFault(line) === undefined ? [line] : [];
}

/** The public keys of the user's SSH agent; none where there is no agent. */
async function readAgentKeys(socket: string): Promise<string[]> {
	const env = {SSH_AUTH_SOCK: socket};
	const lines = await run(['ssh-add', '-L'], {env, signal: AbortSignal.timeout(5000)}).catch(() => '');
	return lines.split('\n').filter(line => findKeyFault(line) === undefined);
}

const blobOf = (key: string) => key.trim().split(/\s+/)[1] ?? '';

/** The public keys of this user: those of `id_*.pub`, which ssh itself takes, and of the agent. Other files there may be other people's. */
export async function readOwnKeys(environment: Readonly<Record<string, string | undefined>>): Promise<string[]> {
	const folder = join(findHome(environment), '.ssh');
	const files = (await readdir(folder).catch(() => [])).filter(file => /^id_.*\.pub$/.test(file)).sort();
	const own = (await Promise.all(files.map(file => readKeyFile(join(folder, file))))).flat();
	const agent = await readAgentKeys(environment['SSH_AUTH_SOCK'] ?? '');
	return [...own, ...agent.filter(key => !own.some(other => blobOf(other) === blobOf(key)))];
}

/** A public key as `ssh-keygen -l` shows it: its fingerprint, and its comment. */
export function formatKey(key: string): string {
	const digest = createHash('sha256')
		.update(Buffer.from(blobOf(key), 'base64'))
		.digest('base64');
	const comment = key.trim().split(/\s+/).slice(2).join(' ');
	return `SHA256:${digest.replace(/=+$/, '')} ${comment || 'no comment'}`;
}

/** The key pair beside an artefact, for a workstation that has none. */
export const keyPath = (artefact: string) => join(dirname(artefact), `${basename(artefact, '.iso')}.ssh-key`);

/** Reads the public half of the pair beside the artefact. */
export async function readPairedKey(artefact: string): Promise<string[]> {
	return readKeyFile(`${keyPath(artefact)}.pub`);
}

/** Makes the pair beside the artefact, the private half readable by this user only; a private half that is there is kept. */
export async function makePairedKey(artefact: string, comment: string): Promise<void> {
	const path = keyPath(artefact);
	await withFolder(dirname(path), async folder => {
		const made = join(folder, 'key');
		const there = await access(path).then(
			() => true,
			() => false,
		);
		if (there) {
			await writeFile(`${made}.pub`, await run(['ssh-keygen', '-y', '-f', path]));
		} else {
			await run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', comment, '-f', made]);
			await rename(made, path);
		}
		await rename(`${made}.pub`, `${path}.pub`);
	});
}
