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

/** Each module is signed beside itself and put in place whole; a signature that it has is of the key that there is. */
async function planSignatures(probe: Probe, {newKey}: {newKey: boolean}): Promise<Step[]> {
	const kernel = (await probe.read('/proc/sys/kernel/osrelease'))?.trim() ?? '';
	const folder = `/lib/modules/${kernel}/updates/dkms`;
	const program = `/lib/modules/${kernel}/build/scripts/sign-file`;
	const steps: Step[] = [];
	for (const module of ['spl', 'zfs']) {
		if (!newKey && (await probe.output(['modinfo', '--field', 'sig_key', module])).trim() !== '') continue;
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

/** A power cut may leave a file of a key there and empty; then both are made anew. */
function planNewKey(): Step[] {
	const why = "make this machine's key for modules";
	return [
		{do: 'run', command: ['rm', '--force', key, certificate], why: 'remove what an earlier try left of a key'},
		{do: 'run', command: ['dkms', 'generate_mok'], why},
		{do: 'run', command: ['sync', key, certificate], why: 'make it durable'},
	];
}

/** The steps to a key that the kernel knows; none when it does. Throws while a person has to confirm it. */
async function planKey({password}: NonNullable<Storage['mok']>, probe: Probe): Promise<Step[]> {
	const newKey = !(await probe.read(certificate)) || !(await probe.read(key));
	const signatures = await planSignatures(probe, {newKey});
	const ask: Step = {
		do: 'run',
		command: ['mokutil', '--import', certificate],
		stdin: `${password}\n${password}\n`,
		why: 'ask the firmware to take the key',
	};
	if (newKey) return [...planNewKey(), ...signatures, ask];
	// A certificate's SHA-1 fingerprint is that of its file.
	const [fingerprint = ''] = (await probe.output(['sha1sum', certificate])).split(' ');
	const has = (list: string) => list.replaceAll(':', '').toLowerCase().includes(fingerprint);
	if (has(await probe.output(['mokutil', '--list-enrolled']))) return signatures;
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

/** The steps to the kernel's module of ZFS, and whether its programs will answer after them. */
export async function planModule({mok}: Storage, probe: Probe): Promise<{steps: Step[]; usable: boolean}> {
	if (await isLoaded(probe)) return {steps: [], usable: true};
	if (!(await isLocked(probe))) return {steps: [load], usable: true};
	if (!mok)
		throw new Error(
			'Secure Boot is on, and the kernel does not load the module of ZFS, which Debian did not sign; switch Secure Boot off in the firmware, or give storage.mok',
		);
	const steps = await planKey(mok, probe);
	return steps.length === 0 ? {steps: [load], usable: true} : {steps, usable: false};
}
