import {createHash} from 'node:crypto';
import {readLinks} from './links.ts';
import type {Probe} from './phase.ts';

/** A UUID that the same words always give (RFC 9562, version 8). */
export function deriveUuid(...words: string[]): string {
	const bytes = createHash('sha256').update(words.join('\0')).digest().subarray(0, 16);
	bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x80, 6);
	bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
	return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

/** Whether many boards share this UUID of their firmware: their maker's placeholder in either byte order, or one byte throughout. */
export function isPlaceholder(uuid: string): boolean {
	const digits = uuid.toLowerCase().replaceAll('-', '');
	const known = [
		'03000200040005000006000700080009',
		'00020003000400050006000700080009',
		'123456781234567890abcddeefaabbcc',
	];
	return !/^[0-9a-f]{32}$/.test(digits) || known.includes(digits) || /^(..?)\1+$/.test(digits);
}

/**
 * 32 hexadecimal digits that tell this machine from others, also after it was installed anew: the UUID of its firmware;
 * of a board without one, made from the MAC address of its first wired link.
 */
export async function readMachineIdentity(probe: Probe): Promise<string> {
	const uuid = (await probe.read('/sys/class/dmi/id/product_uuid'))?.trim() ?? '';
	if (!isPlaceholder(uuid)) return uuid.toLowerCase().replaceAll('-', '');
	const [link] = await readLinks(probe);
	if (link) return deriveUuid('wired link', link.mac).replaceAll('-', '');
	const machineId = (await probe.read('/etc/machine-id'))?.trim();
	if (machineId) return machineId;
	throw new Error(
		'nothing tells this machine from others: no UUID of its firmware, no wired link, no /etc/machine-id; run systemd-machine-id-setup',
	);
}
