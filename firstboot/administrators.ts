import {keysFolder} from './accounts.ts';
import type {Probe} from './phase.ts';
import type {User} from './users.ts';

/** Who may become root. */
export const sudoersPath = '/etc/sudoers.d/10-bringup';

const listKeys = (user: string, text: string) =>
	text.split('\n').flatMap(line => {
		const [kind, key] = line.trim().split(/[ \t]+/);
		return kind && key ? [`${user} ${kind} ${key}`] : [];
	});

/**
 * Whether nobody who may administer the machine now may do so with the same key afterwards. A key that goes beside one
 * that stays locks nobody out who should be let in; where none stays, somebody must show that a new one works.
 */
export async function shutsOut(users: readonly User[], probe: Probe): Promise<boolean> {
	const sudoers = (await probe.read(sudoersPath)) ?? '';
	const before: string[] = [];
	for (const name of (await probe.list(keysFolder))?.keys() ?? [])
		if (sudoers.split('\n').some(line => line.split(/[ \t]/)[0] === name))
			before.push(...listKeys(name, (await probe.read(`${keysFolder}/${name}`)) ?? ''));
	const after = users
		.filter(({sudo}) => sudo)
		.flatMap(({name, sshKeys}) => (sshKeys === 'auto' ? [] : listKeys(name, sshKeys.join('\n'))));
	return before.length > 0 && !before.some(key => after.includes(key));
}
