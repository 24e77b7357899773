import type {FalseFact, Sections} from './fact.ts';
import {findKeyFault} from './keys.ts';

/** Users twice, keys that OpenSSH cannot read. */
export function checkIdentity({users}: NonNullable<Sections['identity']>): FalseFact[] {
	return users.flatMap(({name, sshKeys, password}, index) => {
		const path = ['identity', 'users', index] as const;
		const faults: FalseFact[] = [];
		if (users.findIndex(user => user.name === name) < index)
			faults.push({path: [...path, 'name'], message: `the user ${name} is here twice`});
		if (name === 'root' && password)
			faults.push({path: [...path, 'password'], message: 'root has no password; name an ordinary user'});
		if (sshKeys === 'auto') return faults;
		const keys = sshKeys.map(
			(key, at): FalseFact => ({path: [...path, 'sshKeys', at], message: findKeyFault(key) ?? ''}),
		);
		return [...faults, ...keys.filter(({message}) => message !== '')];
	});
}
