import {readFile} from 'node:fs/promises';
import {resolve} from 'node:path';
import type * as z from 'zod';
import {parseJson} from '../folder.ts';
import type {CompleteProfile} from '../profile/complete.ts';
import {UserError} from '../run.ts';

/** What pins a part of a medium. */
interface Kind<Lock> {
	/** The field of `debian` that names the file. */
	field: 'lock' | 'installerLock';
	schema: z.ZodType<Lock>;
	/** What it is a lock of. */
	of: string;
	/** What writes one. */
	command: string;
}

/** Reads a lock that the profile names, if it does: where, and what is in it. Throws a UserError when it is none, or of another release. */
export async function readLockFile<Lock extends {release: string}>(
	{fields: {debian}, source}: CompleteProfile,
	{field, schema, of, command}: Kind<Lock>,
): Promise<{path: string; lock: Lock} | undefined> {
	const name = debian[field];
	if (name === undefined) return undefined;
	const path = resolve(source.folderOf(['debian', field]), name);
	const text = await readFile(path, 'utf8').catch(error => {
		if (error.code !== 'ENOENT') throw error;
		throw new UserError(`there is no ${path}; make it with: bringup ${command} --profile … --out ${path}`);
	});
	const {success, data: lock} = schema.safeParse(parseJson(text));
	if (!success) throw new UserError(`${path} is no lock of ${of}; make it anew: bringup ${command}`);
	if (lock.release !== debian.release)
		throw new UserError(
			`${path} is of ${lock.release}, and the profile says ${debian.release}; make it anew: bringup ${command}`,
		);
	return {path, lock};
}
