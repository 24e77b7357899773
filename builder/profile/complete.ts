import type {FalseFact} from './facts.ts';
import type {Profile} from './profile.ts';
import type {ProfileFields} from './schema.ts';

/** What the workstation adds where the profile leaves it to it. */
export interface Workstation {
	/** The archive that this workstation's own apt uses. */
	mirror: string | undefined;
	securityMirror: string | undefined;
	/** The user's public SSH keys. */
	sshKeys: readonly string[];
}

type User = Omit<ProfileFields['identity']['users'][number], 'sshKeys'> & {sshKeys: string[]};

/** A profile in which nothing is left to the workstation. */
export interface CompleteProfile extends Omit<Profile, 'fields'> {
	fields: Omit<ProfileFields, 'debian' | 'identity'> & {
		debian: ProfileFields['debian'] & {mirror: string; securityMirror: string};
		identity: Omit<ProfileFields['identity'], 'users'> & {users: User[]};
	};
}

/** Whether the workstation's keys are asked for. */
export function wantsKeys({fields}: Profile): boolean {
	return fields.identity.users.some(({sshKeys}) => sshKeys === 'auto');
}

/** The security mirror beside a mirror that follows Debian's own naming. */
function guessSecurity(mirror: string): string | undefined {
	return /\/debian\/?$/.test(mirror) ? mirror.replace(/\/?$/, '-security') : undefined;
}

/** Fills in what the profile leaves to the workstation, or says what is missing. */
export function completeProfile(profile: Profile, workstation: Workstation): CompleteProfile | FalseFact[] {
	const {debian, identity} = profile.fields;
	const mirror = debian.mirror ?? workstation.mirror;
	const guess = debian.mirror === undefined ? workstation.securityMirror : guessSecurity(debian.mirror);
	const securityMirror = debian.securityMirror ?? guess ?? (mirror === undefined ? undefined : guessSecurity(mirror));
	const faults: FalseFact[] = [];
	if (mirror === undefined) {
		const message =
			"is missing, and this workstation's apt has no Debian mirror to take; add for example debian: {mirror: http://mirror.example/debian}";
		faults.push({path: ['debian', 'mirror'], message});
	} else if (securityMirror === undefined) {
		faults.push({
			path: ['debian', 'securityMirror'],
			message: `is missing, and cannot be told from ${mirror}; security updates come from another archive`,
		});
	}
	if (mirror === undefined || securityMirror === undefined) return faults;
	const users = identity.users.map(user => ({
		...user,
		sshKeys: user.sshKeys === 'auto' ? [...workstation.sshKeys] : user.sshKeys,
	}));
	return {
		...profile,
		fields: {...profile.fields, debian: {...debian, mirror, securityMirror}, identity: {...identity, users}},
	};
}
