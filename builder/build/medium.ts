import {readFile} from 'node:fs/promises';
import {resolve} from 'node:path';
import type {FalseFact, FieldPath} from '../../firstboot/facts/fact.ts';
import {findMarked} from '../../firstboot/facts/marked.ts';
import {buildIdPath, type Secret, secretPath} from '../../firstboot/sequence.ts';
import type {Profile} from '../profile/profile.ts';
import {type FileTree, folders} from '../render/tree.ts';
import {digestOf} from './cache.ts';

/** The values of the profile's secrets, by the path that they get on the machine. */
export type Secrets = ReadonlyMap<string, string>;

type Environment = Readonly<Record<string, string | undefined>>;

/** Reads one secret; trailing line breaks do not count. */
async function readSecret({secret}: Secret, folder: string, environment: Environment): Promise<string | undefined> {
	if ('env' in secret) return environment[secret.env]?.trimEnd() || undefined;
	const text = await readFile(resolve(folder, secret.file), 'utf8').catch(() => undefined);
	return text?.trimEnd() || undefined;
}

/** Whether a secret is the hash of a user's password; that of a registry is a plain one. */
const isHash = (path: FieldPath) =>
	path.at(-1) === 'password' && path.at(-3) === 'users' && typeof path.at(-2) === 'number';

/** Reads every secret of the profile, and says which are missing, and which are not what they should be. A value is never part of a message. */
export async function readSecrets(
	{fields, source}: Pick<Profile, 'fields' | 'source'>,
	environment: Environment,
): Promise<{secrets: Secrets; missing: FalseFact[]; faults: FalseFact[]}> {
	const secrets = new Map<string, string>();
	const missing: FalseFact[] = [];
	const faults: FalseFact[] = [];
	for (const {path, value: secret} of findMarked('secret', fields)) {
		const value = await readSecret(secret, source.folderOf([...path, 'secret']), environment);
		const place = [...path, 'secret'] as const;
		if (value === undefined) {
			const where =
				'env' in secret.secret ? `the environment variable ${secret.secret.env}` : `the file ${secret.secret.file}`;
			missing.push({path: place, message: `${where} is not there, or empty`});
		} else if (isHash(path) && !/^\$(y|gy|7|2[aby]|6|5)\$[!-~]+$/.test(value)) {
			faults.push({
				path: place,
				message: 'is not a crypt(3) hash; make one with: mkpasswd --method=yescrypt   (package whois)',
			});
		} else {
			secrets.set(secretPath(secret), value);
		}
	}
	return {secrets, missing, faults};
}

/** The files of the profile's own layer, and the number of the build that they make with their base. */
export interface TopLayer {
	files: FileTree;
	/** Sixteen hexadecimal digits; the same inputs, the same number. */
	buildId: string;
}

/** All that is this profile's alone: rendered files, the firstboot bundle, secrets. */
export function listTopLayer(tree: FileTree, bundle: string, secrets: Secrets, base: unknown): TopLayer {
	const files = new Map<string, {content: string; mode: number}>();
	for (const [path, file] of tree) {
		if (path.startsWith(folders.chroot)) files.set(path.slice(folders.chroot.length), file);
	}
	files.set('usr/lib/bringup/firstboot.cjs', {content: bundle, mode: 0o755});
	for (const [path, value] of secrets) files.set(path.slice(1), {content: `${value}\n`, mode: 0o600});
	const binary = [...tree].filter(([path]) => path.startsWith(folders.binary));
	const buildId = digestOf(['medium', base, [...files], binary]).slice(0, 16);
	files.set(buildIdPath.slice(1), {content: `${buildId}\n`, mode: 0o644});
	return {files, buildId};
}
