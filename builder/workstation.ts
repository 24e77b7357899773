import {readdir, readFile} from 'node:fs/promises';
import {homedir} from 'node:os';
import {basename, dirname, join} from 'node:path';
import {findKeyFault} from './profile/facts.ts';
import {run} from './run.ts';

/** The Debian archive of this workstation's own apt, and the one for security updates. Neither on a system without apt or without Debian. */
export async function readMirrors(): Promise<{mirror: string | undefined; securityMirror: string | undefined}> {
	const format = '$(REPO_URI) $(RELEASE) $(COMPONENT)';
	const output = await run(['apt-get', 'indextargets', '--format', format, 'Created-By: Packages']).catch(() => '');
	const targets = output.split('\n').map(line => line.split(' '));
	const find = (release: RegExp) => targets.find(([, suite = '', component]) => component === 'main' && release.test(suite))?.[0];
	const names = 'bookworm|trixie|forky|sid|stable|testing|unstable';
	const clean = (uri: string | undefined) => (uri && /^https?:/.test(uri) ? uri.replace(/\/$/, '') : undefined);
	return {mirror: clean(find(new RegExp(`^(${names})$`))), securityMirror: clean(find(new RegExp(`^(${names})-security$`)))};
}

async function readKeyFile(path: string): Promise<string[]> {
	const line = (await readFile(path, 'utf8').catch(() => '')).trim();
	return line !== '' && findKeyFault(line) === undefined ? [line] : [];
}

/** The public keys of this user, of ~/.ssh/*.pub. */
export async function readOwnKeys(): Promise<string[]> {
	const folder = join(homedir(), '.ssh');
	const files = (await readdir(folder).catch(() => [])).filter(file => file.endsWith('.pub')).sort();
	return (await Promise.all(files.map(file => readKeyFile(join(folder, file))))).flat();
}

/** The key pair beside an artefact, for a workstation that has none. */
export const keyPath = (artefact: string) => join(dirname(artefact), `${basename(artefact, '.iso')}.ssh-key`);

/** Reads the public half of the pair beside the artefact. */
export async function readPairedKey(artefact: string): Promise<string[]> {
	return readKeyFile(`${keyPath(artefact)}.pub`);
}

/** Makes the pair beside the artefact, the private half readable by this user only. */
export async function makePairedKey(artefact: string, comment: string): Promise<string[]> {
	await run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', comment, '-f', keyPath(artefact)]);
	return readPairedKey(artefact);
}
