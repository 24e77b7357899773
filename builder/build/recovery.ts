import {randomBytes} from 'node:crypto';
import {mkdir, readFile} from 'node:fs/promises';
import {join} from 'node:path';
import {writeWhole} from '../folder.ts';
import {run} from '../run.ts';

/** Sixteen that no eye confuses, and that are in the same place on QWERTY, QWERTZ and AZERTY: the console may not know the keyboard. */
const letters = 'bcdefghknoprstux';

/** 112 bits, as 28 letters. */
function makeCode(): string {
	const halves = [...randomBytes(14)].flatMap(byte => [byte >> 4, byte & 15]);
	return halves.map(half => letters.charAt(half)).join('');
}

/** A code as people read it. The spaces are not part of it. */
export const formatCode = (code: string) => code.replace(/.{4}(?=.)/g, '$& ');

/** Where the hash of a profile's code is kept. */
export interface RecoveryPlace {
	/** The data folder of bringup. */
	data: string;
	/** The profile, told from others of its name. */
	name: string;
}

const hashPath = ({data, name}: RecoveryPlace) => join(data, 'recovery', `${name}.hash`);

/** The hash that a profile's machines have; with `renew`, or where none is kept, that of a new code, which nobody has seen yet. */
export async function obtainRecovery(place: RecoveryPlace & {renew: boolean}): Promise<{hash: string; code?: string}> {
	const kept = place.renew ? '' : (await readFile(hashPath(place), 'utf8').catch(() => '')).trim();
	if (/^\$6\$[./0-9A-Za-z]+\$[./0-9A-Za-z]{86}$/.test(kept)) return {hash: kept};
	const code = makeCode();
	const hash = (await run(['openssl', 'passwd', '-6', '-stdin'], {input: `${code}\n`})).trim();
	return {hash, code};
}

/** Keeps the hash for the next build, when the code has been shown: a code that nobody saw must not be kept. */
export async function keepRecovery(place: RecoveryPlace, hash: string): Promise<void> {
	await mkdir(join(place.data, 'recovery'), {recursive: true, mode: 0o700});
	await writeWhole(
		hashPath(place),
		`${hash}
`,
		0o600,
	);
}
