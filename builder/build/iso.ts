import {join} from 'node:path';
import type {CompleteProfile} from '../profile/complete.ts';
import {type Command, runLong} from '../run.ts';

/** What goes onto the medium: path on it, file on this workstation. */
export type Contents = ReadonlyMap<string, string>;

const stamp = (epoch: number) => `${new Date(epoch * 1000).toISOString().replace(/\D/g, '').slice(0, 14)}00`;

/**
 * The arguments of one ISO for BIOS, UEFI and Secure Boot, as CD and as disk (xorriso's manual of mkisofs emulation;
 * FAI's fai-cd has the same shape). The EFI image stands once, as GPT partition 2.
 */
export function listIsoArguments(
	base: string,
	contents: Contents,
	iso: string,
	firmware: CompleteProfile['fields']['machine']['firmware'],
	epoch: number,
): Command {
	const biosBoot = [
		...['-b', 'boot/grub/bios.img', '-no-emul-boot', '-boot-load-size', '4', '-boot-info-table', '--grub2-boot-info'],
		...['--grub2-mbr', join(base, 'boot_hybrid.img'), '-eltorito-alt-boot'],
	];
	const uefiBoot = [
		...['-partition_offset', '16', '-appended_part_as_gpt', '-append_partition', '2', '0xef', join(base, 'efi.img')],
		...['-e', '--interval:appended_partition_2:all::', '-no-emul-boot'],
	];
	return [
		...([
			'xorriso',
			'-as',
			'mkisofs',
			'-o',
			iso,
			'-V',
			'BRINGUP',
			'-J',
			'-joliet-long',
			'-r',
			'-iso-level',
			'3',
		] as const),
		...[`--modification-date=${stamp(epoch)}`, '--set_all_file_dates', stamp(epoch)],
		...(firmware.includes('bios') ? biosBoot : []),
		...(firmware.includes('uefi') ? uefiBoot : []),
		'-graft-points',
		...[...contents].map(([at, from]) => `${at}=${from}`),
	];
}

/** Writes the ISO, with the identifiers of its partition table made of the epoch and not at random. Throws xorriso's ProgramError. */
export async function writeIso(
	command: Command,
	epoch: number,
	log: string,
	onProgress: (text: string) => void,
	signal?: AbortSignal,
): Promise<void> {
	const onLine = (line: string) => {
		const done = /([\d.]+)% done/.exec(line)?.[1];
		if (done) onProgress(`${done} %`);
	};
	await runLong(command, {env: {SOURCE_DATE_EPOCH: String(epoch)}, log, onLine, signal});
}
