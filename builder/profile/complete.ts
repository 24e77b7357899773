import {resolve} from 'node:path';
import type {FalseFact} from '../../firstboot/facts/fact.ts';
import type {Profile} from './profile.ts';
import type {ProfileFields} from './schema.ts';

/** The Debian archive, and the one for security updates. */
interface Mirrors {
	mirror: string;
	securityMirror: string;
}

/** What the workstation adds where the profile leaves it to it. */
export interface Workstation {
	/** The archive that this workstation's own apt uses, where it has one. */
	mirror: string | undefined;
	securityMirror: string | undefined;
	/** Debian's own archive, where the workstation knows it. */
	debianMirror?: string | undefined;
	/** The user's public SSH keys. */
	sshKeys: readonly string[];
}

type AnyUser = ProfileFields['identity']['users'][number];
/** A profile in which nothing is left to the workstation, but for its keys where it has none. */
export interface CompleteProfile extends Omit<Profile, 'fields'> {
	fields: Omit<ProfileFields, 'debian'> & {
		/** The mirrors that the build uses, and those that the machine is told of. */
		debian: ProfileFields['debian'] & Mirrors & {onMachine: Mirrors};
	};
}

/** Who is let in by the workstation's keys, on the machine or in a domain. */
export function listAutoUsers({fields}: Profile): string[] {
	const auto = (users: readonly AnyUser[]) => users.filter(({sshKeys}) => sshKeys === 'auto').map(({name}) => name);
	const domains = Object.entries(fields.virtualization?.domains ?? {});
	const inDomains = domains.flatMap(([name, {seed}]) => auto(seed?.users ?? []).map(user => `${user} (${name})`));
	return [...auto(fields.identity.users), ...inDomains];
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

/** The profile with one key wherever it leaves keys to the workstation. */
export function withKey(profile: CompleteProfile, key: string): CompleteProfile {
	const fill = (user: AnyUser): AnyUser => (user.sshKeys === 'auto' ? {...user, sshKeys: [key]} : user);
	const {identity} = profile.fields;
	const virtualization = fillSeeds(profile.fields.virtualization, fill);
	return {
		...profile,
		fields: {
			...profile.fields,
			identity: {...identity, users: identity.users.map(fill)},
			...(virtualization ? {virtualization} : {}),
		},
	};
}

/** The security mirror beside a mirror that follows Debian's own naming. */
function guessSecurity(mirror: string): string | undefined {
	return /\/debian\/?$/.test(mirror) ? mirror.replace(/\/?$/, '-security') : undefined;
}

/** A machine's loopback address is another than this workstation's, and everybody on it reads its apt sources. */
function isForMachines(mirror: string): boolean {
	const {username, password, hostname} = new URL(mirror);
	const isLoopback = /^(localhost|.*\.localhost|127(\.\d+){3}|0\.0\.0\.0|\[::1?\])\.?$/.test(hostname);
	return username === '' && password === '' && !isLoopback;
}

/** Says that the machine gets another mirror than the build, or undefined. */
export function noteMirror({fields: {debian}}: CompleteProfile): string | undefined {
	const {mirror, securityMirror, onMachine} = debian;
	if (mirror === onMachine.mirror && securityMirror === onMachine.securityMirror) return undefined;
	return `the build's mirror has a password or a loopback address, so the machine gets ${onMachine.mirror}; to give it another, say debian.mirror\n`;
}

/** Fills in what the profile leaves to the workstation, or says what is missing. */
export function completeProfile(profile: Profile, workstation: Workstation): CompleteProfile | FalseFact[] {
	const {debian, identity} = profile.fields;
	const {debianMirror} = workstation;
	const mirror = debian.mirror ?? workstation.mirror ?? debianMirror;
	if (mirror === undefined) {
		const message = `is missing: apt of this workstation has no archive of Debian's, and no mmdebstrap here says which is Debian's own`;
		return [{path: ['debian', 'mirror'], message}];
	}
	const guess = mirror === workstation.mirror ? workstation.securityMirror : undefined;
	const securityMirror = debian.securityMirror ?? guess ?? guessSecurity(mirror);
	if (securityMirror === undefined)
		return [
			{
				path: ['debian', 'securityMirror'],
				message: `is missing, and cannot be told from ${mirror}; security updates come from another archive`,
			},
		];
	const debianSecurity = debianMirror && guessSecurity(debianMirror);
	const isShared = [mirror, securityMirror].every(isForMachines);
	if (!isShared && !debianSecurity) {
		const field = isForMachines(mirror) ? 'securityMirror' : 'mirror';
		const message = `has a password or a loopback address here, so that a machine cannot be told of it, and no mmdebstrap here says which is Debian's own`;
		return [{path: ['debian', field], message}];
	}
	const onMachine =
		!isShared && debianMirror && debianSecurity
			? {mirror: debianMirror, securityMirror: debianSecurity}
			: {mirror, securityMirror};
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
			debian: {...debian, mirror, securityMirror, onMachine, archives: Object.fromEntries(archives)},
			identity: {...identity, users: identity.users.map(fill)},
			...(virtualization ? {virtualization} : {}),
		},
	};
}
