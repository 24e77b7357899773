import {readLinks} from './links.ts';
import type {Probe} from './phase.ts';

/** What boards without a serial number say in its place. */
export const placeholders = /^$|^0+$|default string|to be filled|system serial|not specified|^none$|^n\/a$/i;

async function readSerial(probe: Probe): Promise<string> {
	const serial = (await probe.read('/sys/class/dmi/id/product_serial'))?.trim() ?? '';
	if (!placeholders.test(serial)) return serial;
	throw new Error(
		`identity.hostname asks for {serial}, and this machine's firmware has no serial number (it says "${serial}"); use {mac}, or a plain name`,
	);
}

const normalize = (name: string) =>
	name
		.toLowerCase()
		.replace(/[^a-z0-9-]+/g, '-')
		.replace(/^-+|-+$/g, '');

async function readMac(probe: Probe): Promise<string> {
	const [link] = await readLinks(probe);
	if (link) return link.mac.replaceAll(':', '');
	throw new Error('identity.hostname asks for {mac}, and this machine shows no wired link; use a plain name');
}

/** Whether a name is one that the pattern gives, with whatever MAC address. */
function fits(name: string, pattern: string): boolean {
	return pattern.includes('{mac}') && new RegExp(`^${pattern.replaceAll('{mac}', '[0-9a-f]{12}')}$`).test(name);
}

/** The host name of this machine. A name once given stays, also when network cards come and go. */
export async function resolveHostname(pattern: string, probe: Probe): Promise<string> {
	const serial = pattern.includes('{serial}') ? normalize(await readSerial(probe)) : '';
	const known = pattern.replaceAll('{serial}', serial);
	const current = (await probe.read('/etc/hostname'))?.trim() ?? '';
	if (fits(current, known)) return current;
	const name = known.includes('{mac}') ? known.replaceAll('{mac}', await readMac(probe)) : known;
	if (/^[a-z0-9][a-z0-9-]{0,62}$/.test(name)) return name;
	throw new Error(`identity.hostname gives "${name}", which is no host name of 1 to 63 characters`);
}
