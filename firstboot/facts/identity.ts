import {legacyZones, listLocales, systemAccounts, zones} from './debian-names.ts';
import type {FalseFact, FieldPath, Sections} from './fact.ts';
import {findKeyFault} from './keys.ts';

type Identity = NonNullable<Sections['identity']>;
type Debian = Sections['debian'];

/** A name that differs in case alone, for a remedy. */
const findAlike = (given: string, names: Iterable<string>) =>
	[...names].find(name => name.toLowerCase() === given.toLowerCase());

function findHostnameFault(hostname: string): string | undefined {
	if (hostname === 'localhost') return 'localhost is the name of every machine for itself; give it another';
	// A MAC address has 12 digits, and a serial number one at least; RFC 1123 and Linux allow 63 characters.
	const shortest = hostname.replaceAll('{mac}', '0'.repeat(12)).replaceAll('{serial}', '0').length;
	return shortest > 63 ? `comes to ${shortest} characters, and a host name has 63 at most` : undefined;
}

function findZoneFault(zone: string, debian: Debian): string | undefined {
	if (zones.has(zone)) return undefined;
	if (!legacyZones.has(zone)) {
		const alike = findAlike(zone, zones);
		return `Debian has no time zone ${zone}; ${alike ? `take ${alike}` : 'their names are Area/City, such as Europe/Berlin or Etc/UTC'}`;
	}
	if (debian?.release !== 'trixie' || debian.packages.includes('tzdata-legacy')) return undefined;
	const modern = new Intl.DateTimeFormat('en', {timeZone: zone}).resolvedOptions().timeZone;
	const instead = zones.has(modern) ? `take ${modern}, or ` : '';
	return `${zone} is an old name, which Debian 13 has in another package; ${instead}add tzdata-legacy to debian.packages`;
}

function findLocaleFault(locale: string, debian: Debian): string | undefined {
	const known = [...new Set((debian ? [debian.release] : ['bookworm', 'trixie']).flatMap(listLocales))];
	if (known.includes(locale)) return undefined;
	const [plain = '', variant] = locale.replace(/\.utf-?8/i, '').split('@');
	const tail = variant === undefined ? '' : `@${variant}`;
	const alike = [`${plain}.UTF-8${tail}`, `${plain}${tail}`, locale].map(name => findAlike(name, known)).find(Boolean);
	const examples = known.filter(name => name.startsWith(`${plain.slice(0, 2)}_`)).slice(0, 6);
	const instead = alike
		? `take ${alike}`
		: `there are, say, ${(examples.length > 0 ? examples : ['C.UTF-8', 'en_GB.UTF-8']).join(', ')}`;
	return `Debian has no locale ${locale} in UTF-8; ${instead}`;
}

/** What keeps an account from being made, or undefined. */
export function findAccountFault(name: string): string | undefined {
	return systemAccounts.has(name) ? `${name} is a user or group of Debian's own; take another name` : undefined;
}

/** Groups that no package of the image makes. A package of the profile may make any. */
function listUnknownGroups(identity: Identity, sections: Sections): FalseFact[] {
	const {debian, virtualization, storage, kubernetes} = sections;
	if (!debian || debian.packages.length > 0 || virtualization || storage || kubernetes) return [];
	const users = [...identity.users.map(({name}) => name), ...Object.keys(sections.containers?.users ?? {})];
	return identity.users.flatMap(({groups}, index) =>
		groups.flatMap((group, at) => {
			if (systemAccounts.has(group) || users.includes(group)) return [];
			const path = ['identity', 'users', index, 'groups', at];
			return [
				{
					path,
					message: `no package of the image makes the group ${group}; add that package to debian.packages, or remove the group`,
				},
			];
		}),
	);
}

/** Users twice, names that are taken, keys that OpenSSH cannot read; names, locales and time zones that Debian does not have. */
export function checkIdentity(identity: Identity, sections: Sections): FalseFact[] {
	const {hostname, locale, timezone, users} = identity;
	const faults: FalseFact[] = [];
	const add = (path: FieldPath, message: string | undefined) => {
		if (message !== undefined) faults.push({path, message});
	};
	add(['identity', 'hostname'], hostname === undefined ? undefined : findHostnameFault(hostname));
	add(['identity', 'locale'], findLocaleFault(locale, sections.debian));
	add(['identity', 'timezone'], findZoneFault(timezone, sections.debian));
	users.forEach(({name, sshKeys}, index) => {
		const path = ['identity', 'users', index];
		if (users.findIndex(user => user.name === name) < index) add([...path, 'name'], `the user ${name} is here twice`);
		add([...path, 'name'], findAccountFault(name));
		if (sshKeys !== 'auto') for (const [at, key] of sshKeys.entries()) add([...path, 'sshKeys', at], findKeyFault(key));
	});
	return [...faults, ...listUnknownGroups(identity, sections)];
}
