import {recoveryUser} from '../sequence.ts';
import type {FalseFact, Sections} from './fact.ts';

/** What is wrong with the section hardening; and the account for the console has its name to itself, also where a profile does without it: the SSH server refuses that name. */
export function checkHardening({identity, hardening}: Sections): FalseFact[] {
	const late = Object.keys(hardening?.sysctl ?? {}).filter(key => /^net[./](bridge|netfilter)[./]/.test(key));
	const unknown = late.map(key => ({
		path: ['hardening', 'sysctl', key],
		message:
			'the kernel knows it only when K3s or libvirt has loaded its module, which is later; they set it themselves',
	}));
	const taken = (identity?.users ?? []).flatMap(({name}, index) => {
		if (name !== recoveryUser) return [];
		const message = `${recoveryUser} is the account for the console, and may not come in over SSH; take another name`;
		return [{path: ['identity', 'users', index, 'name'], message}];
	});
	return [...taken, ...unknown];
}
