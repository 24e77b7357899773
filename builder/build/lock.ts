import * as z from 'zod';
import type {CompleteProfile} from '../profile/complete.ts';
import {UserError} from '../run.ts';
import type {PlacedAsset} from './assets.ts';
import {digestOf} from './cache.ts';
import {type Index, openLocked} from './lists.ts';
import {readLockFile} from './lock-file.ts';
import type {Maker} from './maker.ts';
import {type Package, parseStanza} from './packages.ts';
import {readField} from './pool-files.ts';

const digest = z.string().regex(/^[0-9a-f]{64}$/);

const lockSchema = z.strictObject({
	schema: z.literal(1),
	release: z.enum(['trixie', 'bookworm']),
	/** The date of every file: seconds since 1970. */
	epoch: z.int(),
	/** The packages that the profile asks for; the others are what they depend on. */
	names: z.array(z.string()),
	/** Digests of the files that no package has. */
	assets: z.array(digest),
	/** Versions of what makes the medium: by others it may not be the same to the byte. */
	tools: z.record(z.string(), z.string()).optional(),
	/** The archive's own stanzas, by name. */
	packages: z.array(
		z.string().refine(
			text =>
				z
					.strictObject({
						file: z.string().regex(/^(?!\/)(?!.*\.\.\/)[\w./+~:%-]+$/),
						sha256: digest,
						size: z.string().regex(/^\d+$/),
						name: z.string().regex(/^[a-z0-9][a-z0-9+.-]+$/),
						version: z.string().regex(/^[A-Za-z0-9.+~:-]+$/),
					})
					.safeParse({
						file: readField(text, 'Filename'),
						sha256: readField(text, 'SHA256'),
						size: readField(text, 'Size'),
						name: readField(text, 'Package'),
						version: readField(text, 'Version'),
					}).success,
		),
	),
});

/** Which packages, to the byte. */
export type Lock = z.output<typeof lockSchema>;

/** What of a stanza apt and mmdebstrap go by; the rest is for people. */
const unneeded =
	/^(Description|Description-md5|Homepage|Tag|Maintainer|MD5sum|SHA1|Bugs|Python-Version|Ruby-Versions):/;

function trim(stanza: string): string {
	const fields = stanza.split(/\n(?! )/);
	return fields.filter(field => !unneeded.test(field)).join('\n');
}

/** The lock of what was resolved. */
export function makeLock(
	index: Index,
	names: readonly string[],
	packages: readonly Package[],
	assets: readonly PlacedAsset[],
	{tools}: Pick<Maker, 'tools'>,
): Lock {
	return {
		schema: 1,
		release: index.debian.release,
		epoch: index.epoch,
		names: [...names],
		assets: assets.map(({sha256}) => sha256).sort(),
		tools,
		packages: packages.map(({stanza}) => trim(stanza)).sort(),
	};
}

/** Says with which other tools than now a lock was made; nothing where they are the same. */
export function compareTools({tools}: Lock, maker: Pick<Maker, 'tools'>): string[] {
	const names = Object.keys({...tools, ...maker.tools}).sort();
	const other = names.filter(name => tools?.[name] !== maker.tools[name]);
	if (tools === undefined || other.length === 0) return [];
	const changes = other.map(name => `${name} ${tools[name] ?? 'none'} -> ${maker.tools[name] ?? 'none'}`);
	return [`the lock was made with other tools, so the medium may not be the same to the byte: ${changes.join(', ')}`];
}

/** The packages of a lock, as the archive's lists would give them. */
export const listLocked = ({packages}: Lock): Package[] => packages.map(parseStanza);

const remedy = 'make it anew: bringup lock';

/** The lock that the profile names, if any. Throws a UserError when it is not one, or not of this profile's release and assets. */
export async function readLock(profile: CompleteProfile, assets: readonly PlacedAsset[]): Promise<Lock | undefined> {
	const kind = {field: 'lock', schema: lockSchema, of: 'packages', command: 'lock'} as const;
	const {path, lock} = (await readLockFile(profile, kind)) ?? {};
	const unknown = lock ? assets.filter(({sha256}) => !lock.assets.includes(sha256)) : [];
	if (unknown.length > 0)
		throw new UserError(
			`the profile has assets that ${path} does not pin: ${unknown.map(({sha256}) => sha256).join(', ')}; ${remedy}`,
		);
	return lock;
}

/** Puts a lock in the place of the archive's lists. Throws a UserError when the profile asks for other packages than it pins. */
export async function openLock(
	lock: Lock,
	names: readonly string[],
	{fields: {debian}}: CompleteProfile,
	cache: string,
): Promise<{index: Index; packages: Package[]}> {
	const added = names.filter(name => !lock.names.includes(name));
	const gone = lock.names.filter(name => !names.includes(name));
	if (added.length + gone.length > 0)
		throw new UserError(
			`the lock ${debian.lock} is of another package list: ${[...added.map(name => `+${name}`), ...gone.map(name => `-${name}`)].join(', ')}; ${remedy}`,
		);
	return {index: await openLocked(debian, digestOf(lock), lock.epoch, cache), packages: listLocked(lock)};
}
