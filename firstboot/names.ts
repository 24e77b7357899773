import {readLinks} from './links.ts';
import type {Probe} from './phase.ts';

/** What boards without a serial number say in its place. */
const placeholders = /^$|^0+$|default string|to be filled|system serial|not specified|^none$|^n\/a$/i;

async function readSerial(probe: Probe): Promise<string> {
	const serial = (await probe.read('/sys/class/dmi/id/product_serial'))?.trim() ?? '';
	if (!placeholders.test(serial)) return serial;
	throw new Error(
		`identity.hostname asks for {serial}, and this machine's firmware has no serial number (it says "${serial}"); use {mac}, or a plain name`,
	);
}

/** The host names that the pattern can give on this machine, the preferred one first: one for each wired link where it asks for {mac}. */
async function listNames(pattern: string, probe: Probe): Promise<string[]> {
	const withSerial = pattern.includes('{serial}') ? pattern.replaceAll('{serial}', await readSerial(probe)) : pattern;
	if (!withSerial.includes('{mac}')) return [withSerial];
	const links = await readLinks(probe);
	if (links.length === 0)
		throw new Error('identity.hostname asks for {mac}, and this machine shows no wired link; use a plain name');
	return links.map(({mac}) => withSerial.replaceAll('{mac}', mac.replaceAll(':', '')));
}

/** The host name of this machine. A name once given stays, also when a network card is added. */
export async function resolveHostname(pattern: string, probe: Probe): Promise<string> {
	const names = (await listNames(pattern, probe)).map(name =>
		name
			.toLowerCase()
			.replace(/[^a-z0-9-]+/g, '-')
			.replace(/^-+|-+$/g, ''),
	);
	const current = (await probe.read('/etc/hostname'))?.trim();
	const name = names.find(candidate => candidate === current) ?? names[0] ?? '';
	if (!/^[a-z0-9][a-z0-9-]{0,62}$/.test(name))
		throw new Error(`identity.hostname gives "${name}", which is no host name of 1 to 63 characters`);
	return name;
}
