import {readField} from '../pool-files.ts';

/**
 * What debian-installer installs a machine with, beside what its initramfs has. Each brings what it depends on; the rest
 * of the archive's udebs stays away: Wi-Fi, speech, other boot loaders; and LVM and RAID, which would activate what is on
 * other disks.
 */
const installer = [
	...['apt-setup-udeb', 'apt-mirror-setup', 'base-installer', 'bootstrap-base', 'clock-setup', 'finish-install'],
	...['grub-installer', 'disk-detect', 'di-utils-mapdevfs', 'pkgsel', 'tzsetup-udeb', 'user-setup-udeb'],
	...['partman-auto', 'partman-base', 'partman-target', 'partman-partitioning', 'partman-utils'],
	...['partman-basicfilesystems', 'partman-basicmethods', 'partman-efi', 'partman-ext3'],
	...['e2fsprogs-udeb', 'dosfstools-udeb'],
];

/** Kernel modules that the installer loads itself; and those that find the medium, which are needed before that. */
const later = ['ext4', 'fat', 'loop'];
const early = ['isofs', 'cdrom-core', 'scsi-core', 'scsi', 'sata', 'ata', 'pata', 'usb-storage', 'mmc'];

/** Not on the medium although something names it: no system of another kind is looked for. */
const unwanted = /^ntfs-3g-udeb$/;

const moduleUdeb = (kernel: string) => (name: string) => `${name}-modules-${kernel}-di`;

/** What is in the initramfs already, from its dpkg status. */
export interface Present {
	names: ReadonlySet<string>;
	/** Such as 6.12.94+deb13-amd64. */
	kernel: string;
}

/** Reads the initramfs's status. Throws an Error where there is no kernel in it. */
export function readPresent(status: string): Present {
	const stanzas = status.split('\n\n').filter(Boolean);
	const names = stanzas.map(stanza => readField(stanza, 'Package'));
	const kernel = names.map(name => /^kernel-image-(.*)-di$/.exec(name)?.[1]).find(Boolean);
	if (kernel === undefined) throw new Error('the initramfs of debian-installer names no kernel');
	const provided = stanzas.flatMap(stanza => readField(stanza, 'Provides').split(/, */));
	return {names: new Set([...names, ...provided.map(name => name.split(' ')[0] ?? '')]), kernel};
}

const listNames = (field: string) => field.split(/ *, */).filter(Boolean);
const plainName = (alternative: string) => alternative.trim().replace(/[ (:].*$/s, '');

/** The newest stanza of each name; modules of other kernels stay out. */
function indexStanzas(stanzas: readonly string[], kernel: string): Map<string, string> {
	const known = new Map<string, string>();
	for (const stanza of stanzas) {
		const name = readField(stanza, 'Package');
		if (name.endsWith('-di') && !name.endsWith(`-${kernel}-di`)) continue;
		if (!known.has(name)) known.set(name, stanza);
	}
	return known;
}

/** Stanzas of all that is needed beside the initramfs, and the names that nothing has. */
export function chooseUdebs(
	stanzas: readonly string[],
	{names: present, kernel}: Present,
): {chosen: Map<string, string>; early: string[]; unknown: string[]} {
	const known = indexStanzas(stanzas, kernel);
	const isModules = moduleUdeb(kernel);
	const chosen = new Map<string, string>();
	const unknown: string[] = [];
	const bring = (names: readonly string[]) => {
		for (const todo = [...names]; todo.length > 0; ) {
			const name = todo.shift() ?? '';
			if (present.has(name) || chosen.has(name)) continue;
			const stanza = known.get(name);
			if (stanza === undefined) {
				unknown.push(name);
				continue;
			}
			chosen.set(name, stanza);
			for (const wanted of listNames(readField(stanza, 'Depends'))) {
				const choices = wanted.split('|').map(plainName);
				if (choices.some(choice => present.has(choice) || chosen.has(choice) || unwanted.test(choice))) continue;
				// A name that is provided only is what the installer itself is about: installed-base, bootable-system.
				const first = choices.find(choice => known.has(choice));
				if (first !== undefined) todo.push(first);
			}
		}
	};
	bring(early.map(isModules));
	const inInitramfs = [...chosen.keys()];
	bring([...installer, ...later.map(isModules)]);
	return {chosen, early: inInitramfs, unknown};
}
