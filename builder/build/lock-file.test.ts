import {writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import * as z from 'zod';
import {withFolder} from '../folder.ts';
import type {CompleteProfile} from '../profile/complete.ts';
import {readLockFile} from './lock-file.ts';

const schema = z.strictObject({release: z.enum(['trixie', 'bookworm'])});

for (const field of ['lock', 'installerLock'] as const)
	test(`the file of debian.${field} is below the folder of the profile, or where it says from the root`, t =>
		withFolder(tmpdir(), async folder => {
			const read = (path: string) => {
				const debian = {release: 'trixie', [field]: path};
				const profile = {fields: {debian}, source: {folderOf: () => folder}} as unknown as CompleteProfile;
				return readLockFile(profile, {field, schema, of: 'a test', command: 'lock-it'});
			};
			const path = join(folder, 'own.json');
			await t.throwsAsync(read('own.json'), {
				message: `there is no ${path}; make it with: bringup lock-it --profile … --out ${path}`,
			});
			await writeFile(path, '{"release": "trixie"}');
			const lock = {release: 'trixie'};
			t.deepEqual(await read('own.json'), {path, lock});
			t.deepEqual(await read(path), {path, lock});
			await writeFile(path, '{"release": "bookworm"}');
			await t.throwsAsync(read(path), {message: /own\.json is of bookworm, and the profile says trixie; make it anew/});
			await writeFile(path, '{');
			await t.throwsAsync(read(path), {message: /own\.json is no lock of a test; make it anew: bringup lock-it/});
			t.regex((await t.throwsAsync(read('.')))?.message ?? '', /EISDIR/);
		}));
