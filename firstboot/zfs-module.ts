import type {Command, Probe, Step} from './phase.ts';
import type {Storage} from './volumes.ts';
import {isLoaded} from './zfs.ts';

/** The key that DKMS makes and signs every later module with, as after an update of the kernel. */
const key = '/var/lib/dkms/mok.key';
const certificate = '/var/lib/dkms/mok.pub';

const load: Step = {do: 'run', command: ['modprobe', 'zfs'], why: 'load the module of ZFS'};

/** Whether the kernel takes signed modules only, as it does under Secure Boot. */
async function isLocked(probe: Probe): Promise<boolean> {
	return /\[(integrity|confidentiality)\]/.test((await probe.read('/sys/kernel/security/lockdown')) ?? '');
}

/** Each module is signed beside itself and put in place whole. */
async function planSignatures(probe: Probe): Promise<Step[]> {
	const kernel = (await probe.read('/proc/sys/kernel/osrelease'))?.trim() ?? '';
	const folder = `/lib/modules/${kernel}/updates/dkms`;
	const program = `/usr/lib/linux-kbuild-${/^\d+\.\d+/.exec(kernel)?.[0]}/scripts/sign-file`;
	const steps: Step[] = [];
	for (const module of ['spl', 'zfs']) {
		if ((await probe.output(['modinfo', '--field', 'sig_key', module])).trim() !== '') continue;
		const fresh = `${folder}/${module}.ko.new`;
		const commands: Command[] = [
			['cp', `${folder}/${module}.ko.xz`, `${fresh}.xz`],
			['xz', '--decompress', '--force', `${fresh}.xz`],
			[program, 'sha256', key, certificate, fresh],
			['xz', '--check=crc32', '--lzma2=dict=1MiB', '--force', fresh],
			['sync', `${fresh}.xz`],
			['mv', '--no-target-directory', `${fresh}.xz`, `${folder}/${module}.ko.xz`],
		];
		steps.push(...commands.map((command): Step => ({do: 'run', command, why: `sign the module ${module}`})));
	}
	return steps;
}

async function planKey({password}: NonNullable<Storage['mok']>, probe: Probe): Promise<Step[]> {
	const signatures = await planSignatures(probe);
	const ask: Step = {
		do: 'run',
		command: ['mokutil', '--import', certificate],
		stdin: `${password}\n${password}\n`,
		why: 'ask the firmware to take the key',
	};
	if ((await probe.read(certificate)) === undefined) {
		const make: Step = {do: 'run', command: ['dkms', 'generate_mok'], why: "make this machine's key for modules"};
		return [make, ...signatures, ask];
	}
	// A certificate's SHA-1 fingerprint is that of its file.
	const [fingerprint = ''] = (await probe.output(['sha1sum', certificate])).split(' ');
	const has = (list: string) => list.replaceAll(':', '').toLowerCase().includes(fingerprint);
	if (has(await probe.output(['mokutil', '--list-enrolled']))) return [...signatures, load];
	if (!has(await probe.output(['mokutil', '--list-new']))) return [...signatures, ask];
	if (signatures.length > 0) return signatures;
	throw new Error(
		[
			'ZFS waits for a person: with Secure Boot the kernel loads its module when the key of this machine is confirmed',
			'restart the machine with a screen and a keyboard at it; where "Shim UEFI key management" appears, press a key,',
			'choose Enroll MOK, Continue, Yes, and type the password of storage.mok in the profile',
		].join('\n'),
	);
}

/** The steps to the kernel's module of ZFS; under Secure Boot with a key of this machine. */
export async function planModule({mok}: Storage, probe: Probe): Promise<Step[]> {
	if (await isLoaded(probe)) return [];
	if (!(await isLocked(probe))) return [load];
	if (mok) return planKey(mok, probe);
	throw new Error(
		'Secure Boot is on, and the kernel does not load the module of ZFS, which Debian did not sign; switch Secure Boot off in the firmware, or give storage.mok',
	);
}
