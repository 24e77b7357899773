import {access, readdir, readFile, rename, writeFile} from 'node:fs/promises';
import {homedir} from 'node:os';
import {basename, dirname, join} from 'node:path';
import {findKeyFault} from '../firstboot/facts/keys.ts';
import {withFolder} from './folder.ts';
import {run} from './run.ts';

/** The Debian archive of this workstation's own apt, and the one for security updates. Neither on a system without apt or without Debian. */
export async function readMirrors(): Promise<{mirror: string | undefined; securityMirror: string | undefined}> {
	// Without lists and status apt only reads its sources, and names what it would fetch.
	const nothing = ['-o', 'Dir::State::lists=/nonexistent', '-o', 'Dir::State::status=/dev/null'];
	const output = await run(['apt-get', 'update', '--print-uris', ...nothing]).catch(() => '');
	const targets = [...output.matchAll(/^'(\S+)\/dists\/(\S+)\/main\/binary-amd64\/Packages/gm)];
	const find = (suite: RegExp) => targets.find(([, , name = '']) => suite.test(name))?.[1];
	const names = 'bookworm|trixie|forky|sid|stable|testing|unstable';
	const clean = (uri: string | undefined) => (uri && /^https?:/.test(uri) ? uri : undefined);
	return {
		mirror: clean(find(new RegExp(`^(${names})$`))),
		securityMirror: clean(find(new RegExp(`^(${names})-security$`))),
	};
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
