import {resolve} from 'node:path';
import type {FalseFact} from '../../firstboot/facts/fact.ts';
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

type AnyUser = ProfileFields['identity']['users'][number];
/** A profile in which nothing is left to the workstation, but for its keys where it has none. */
export interface CompleteProfile extends Omit<Profile, 'fields'> {
	fields: Omit<ProfileFields, 'debian'> & {
		debian: ProfileFields['debian'] & {mirror: string; securityMirror: string};
	};
}

/** Whether the workstation's keys are asked for, on the machine or in a domain. */
export function wantsKeys({fields}: Profile): boolean {
	const domains = Object.values(fields.virtualization?.domains ?? {});
	const users = [...fields.identity.users, ...domains.flatMap(({seed}) => seed?.users ?? [])];
	return users.some(({sshKeys}) => sshKeys === 'auto');
}

/** The domains with the workstation's keys where a seed asks for them. */
function fillSeeds(
	virtualization: ProfileFields['virtualization'],
	fill: (user: AnyUser) => AnyUser,
): typeof virtualization {
	if (!virtualization) return undefined;
	const domains = Object.entries(virtualization.domains).map(([name, {seed, ...domain}]) => {
		return [name, {...domain, ...(seed ? {seed: {...seed, users: seed.users.map(fill)}} : {})}] as const;
	});
	return {...virtualization, domains: Object.fromEntries(domains)};
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
	const archives = Object.entries(debian.archives).map(([name, archive]) => {
		const folder = profile.source.folderOf(['debian', 'archives', name, 'key']);
		return [name, {...archive, key: resolve(folder, archive.key)}] as const;
	});
	const keys = workstation.sshKeys;
	const fill = (user: AnyUser): AnyUser => ({
		...user,
		sshKeys: user.sshKeys === 'auto' && keys.length > 0 ? [...keys] : user.sshKeys,
	});
	const virtualization = fillSeeds(profile.fields.virtualization, fill);
	return {
		...profile,
		fields: {
			...profile.fields,
			debian: {...debian, mirror, securityMirror, archives: Object.fromEntries(archives)},
			identity: {...identity, users: identity.users.map(fill)},
			...(virtualization ? {virtualization} : {}),
		},
	};
}
