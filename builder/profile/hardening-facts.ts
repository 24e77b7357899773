import {recoveryUser} from '../../firstboot/sequence.ts';
import type {FalseFact} from './facts.ts';
import type {ProfileFields} from './schema.ts';

/** The account for the console has its name to itself, also where a profile does without it: the SSH server refuses that name. */
export function checkHardening({users}: ProfileFields['identity']): FalseFact[] {
	return users.flatMap(({name}, index) => {
		if (name !== recoveryUser) return [];
		const message = `${recoveryUser} is the account for the console, and may not come in over SSH; take another name`;
		return [{path: ['identity', 'users', index, 'name'], message}];
	});
}
