import {readdir, readFile} from 'node:fs/promises';
import test from 'ava';
import {identitySchema} from '../users.ts';
import {legacyZones, listLocales, zones} from './debian-names.ts';
import {checkIdentity} from './identity.ts';

const debian = {release: 'trixie', components: ['main'], packages: [] as string[]};

/** The first fault of a section. */
function faultOf(given: object, release = 'trixie', packages: string[] = []): string | undefined {
	const parsed = identitySchema.safeParse({hostname: 'a', ...given});
	if (!parsed.success) return parsed.error.issues[0]?.message;
	const faults = checkIdentity(parsed.data, {debian: {...debian, release, packages}});
	return faults.map(({path, message}) => `${path.join('.')}: ${message}`)[0];
}

test('a host name is one by RFC 1123, whatever stands in its place', t => {
	for (const hostname of [
		'a',
		'0',
		'node-1',
		'{serial}',
		'{mac}',
		'{serial}-x',
		'x{mac}',
		'a'.repeat(63),
		`${'a'.repeat(51)}{mac}`,
	])
		t.is(faultOf({hostname}), undefined, hostname);
	for (const hostname of [
		'',
		'-',
		'-a',
		'a-',
		'node-',
		'{mac}-',
		'-{mac}',
		'a.b',
		'a_b',
		'A',
		'a b',
		'ä',
		'a\n',
		'{uuid}',
		'{',
		'a'.repeat(64),
		'a'.repeat(80),
		`${'a'.repeat(52)}{mac}`,
		`${'a'.repeat(63)}{serial}`,
		'localhost',
	])
		t.truthy(faultOf({hostname}), hostname);
});

test('a time zone is one that the release has', t => {
	for (const timezone of [
		'Etc/UTC',
		'Europe/Berlin',
		'America/Argentina/Buenos_Aires',
		'UTC',
		'Asia/Kolkata',
		'Europe/Kyiv',
	])
		for (const release of ['trixie', 'bookworm']) t.is(faultOf({timezone}, release), undefined, timezone);
	for (const timezone of ['Europe/Berln', 'Europe', 'Mars/Base', 'CEST', 'posix/Europe/Berlin'])
		t.regex(faultOf({timezone}) ?? '', /timezone: Debian has no time zone/, timezone);
	t.regex(faultOf({timezone: 'europe/berlin'}) ?? '', /take Europe\/Berlin$/);
	t.regex(faultOf({timezone: 'US/Eastern'}) ?? '', /take America\/New_York, or add tzdata-legacy to debian\.packages/);
	t.is(faultOf({timezone: 'US/Eastern'}, 'trixie', ['tzdata-legacy']), undefined);
	t.is(faultOf({timezone: 'US/Eastern'}, 'bookworm'), undefined);
});

test('a locale is one in UTF-8 that the release has', t => {
	for (const locale of ['C.UTF-8', 'de_DE.UTF-8', 'ca_ES@valencia', 'sr_RS@latin'])
		t.is(faultOf({locale}), undefined, locale);
	t.regex(faultOf({locale: 'xx_YY.UTF-8'}) ?? '', /locale: Debian has no locale xx_YY\.UTF-8/);
	for (const [locale, instead] of [
		['de_DE', 'de_DE.UTF-8'],
		['de_DE.utf8', 'de_DE.UTF-8'],
		['de_de.UTF-8', 'de_DE.UTF-8'],
		['ca_ES.UTF-8@valencia', 'ca_ES@valencia'],
		['sr_RS.UTF-8@latin', 'sr_RS@latin'],
	])
		t.regex(faultOf({locale}) ?? '', new RegExp(`take ${instead}$`), locale);
	t.truthy(faultOf({locale: 'tok'}, 'bookworm'));
	t.is(faultOf({locale: 'tok'}, 'trixie'), undefined);
});

test("the lists know what this system's own packages have", async t => {
	const table = await readFile('/usr/share/zoneinfo/tzdata.zi', 'utf8');
	const names = [...table.matchAll(/^Z (\S+) /gm), ...table.matchAll(/^L \S+ (\S+)$/gm)].map(([, name = '']) => name);
	t.true(names.length > 400);
	t.deepEqual(
		names.filter(name => !zones.has(name) && !legacyZones.has(name)),
		[],
	);
	const supported = (await readFile('/usr/share/i18n/SUPPORTED', 'utf8'))
		.split('\n')
		.filter(line => line.endsWith(' UTF-8'));
	const known = new Set(['bookworm', 'trixie'].flatMap(listLocales));
	t.deepEqual(
		supported.map(line => line.split(' ')[0] ?? '').filter(locale => !known.has(locale)),
		[],
	);
	t.true((await readdir('/usr/share/zoneinfo')).includes('Europe'));
});

test("a user's name is not one of Debian's own, and its groups are there", t => {
	const users = (name: string, groups: string[] = []) => ({users: [{name, sshKeys: 'auto', groups}]});
	for (const name of [
		'root',
		'backup',
		'operator',
		'staff',
		'games',
		'www-data',
		'sshd',
		'sudo',
		'systemd-network',
		'users',
		'_apt',
	])
		t.regex(faultOf(users(name)) ?? '', /of Debian's own; take another name/, name);
	t.is(faultOf(users('admin', ['video', 'dialout', 'admin'])), undefined);
	t.regex(faultOf(users('admin', ['docker'])) ?? '', /groups\.0: no package of the image makes the group docker/);
	t.is(faultOf(users('admin', ['docker']), 'trixie', ['docker.io']), undefined);
});
