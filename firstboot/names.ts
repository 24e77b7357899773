import {readLinks} from './links.ts';
import type {Probe} from './phase.ts';

/** Words that boards without a serial number say in its place. */
const placeholders =
	/default|filled by|(system|chassis|base ?board|board|product) (serial|version)|serial ?number|not (specified|available|applicable|present|set|known)|no asset|unknown|undefined|invalid|^\W*(none|null|empty|n\W?a|tbd|oem|o\.e\.m|sn|x(\W?x)*)\W*$/i;

/** Whether a serial number of the firmware is no number of this very board: words, hardly any characters, or a row of digits. */
export function isPlaceholderSerial(serial: string): boolean {
	const signs = serial.toLowerCase().replace(/[^a-z0-9]/g, '');
	const rows = ['0123456789', '1234567890', '9876543210', '0987654321'].map(row => row.repeat(4));
	const isRow = signs.length >= 3 && rows.some(row => row.includes(signs));
	return placeholders.test(serial) || new Set(signs).size < 3 || isRow;
}

async function readSerial(probe: Probe): Promise<string> {
	const serial = (await probe.read('/sys/class/dmi/id/product_serial'))?.trim() ?? '';
	if (!isPlaceholderSerial(serial)) return serial;
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
	if (/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(name)) return name;
	throw new Error(
		`identity.hostname gives "${name}", which is not a host name of 1 to 63 letters, digits and dashes; change it in the profile, and build the medium again`,
	);
}
