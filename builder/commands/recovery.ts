import {recoveryPath} from '../../firstboot/sequence.ts';
import {digestOf} from '../build/cache.ts';
import type {Secrets} from '../build/medium.ts';
import {formatCode, keepRecovery, obtainRecovery} from '../build/recovery.ts';
import {writeWhole} from '../folder.ts';
import {findDataFolder} from '../paths.ts';
import type {CompleteProfile} from '../profile/complete.ts';
import {UsageError} from '../run.ts';
import type {Surroundings} from './command.ts';

/** The recovery code of a profile: its hash among the secrets, and what is left to do when the medium is made. */
export interface Recovery {
	secrets: Secrets;
	/** Tells a new code, once. A medium that was not made has none. */
	tell(iso: string): Promise<void>;
}

/** On a terminal the code is shown; a log is read by many, so there it goes into a file. */
async function tellCode(code: string, iso: string, err: NodeJS.WriteStream): Promise<void> {
	const use = 'user recovery, at the console, when the network of a machine is gone; type it without the spaces';
	const again = 'It is not shown again; build-iso --new-recovery-code makes another for media built from then on.';
	if (err.isTTY) {
		err.write(`\nrecovery code: ${formatCode(code)}\n  ${use}\n  ${again}\n\n`);
		return;
	}
	const path = `${iso.replace(/\.iso$/, '')}.recovery-code`;
	await writeWhole(path, `${formatCode(code)}\n`, 0o600); // in a file that is there, it would get that file's mode
	err.write(`recovery code: in ${path}, because this is no terminal (${use}). ${again} Keep the file elsewhere.\n`);
}

/** Adds the recovery code's hash to the secrets of the build. */
export async function prepareRecovery(
	{name, path, fields}: CompleteProfile,
	secrets: Secrets,
	renew: boolean,
	{environment, err}: Surroundings,
): Promise<Recovery> {
	if (!fields.hardening?.recovery) {
		if (renew) throw new UsageError('this profile has no recovery code; say hardening: {recovery: true} in it');
		return {secrets, tell: async () => {}};
	}
	const place = {data: findDataFolder(environment), name: `${name}-${digestOf(path).slice(0, 8)}`};
	const {hash, code} = await obtainRecovery({...place, renew});
	return {
		secrets: new Map([...secrets, [recoveryPath, hash]]),
		async tell(iso) {
			if (code === undefined) return;
			await tellCode(code, iso, err);
			await keepRecovery(place, hash);
		},
	};
}
