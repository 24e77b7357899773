import {listPackages} from '../../firstboot/sequence.ts';
import type {CompleteProfile} from '../profile/complete.ts';
import type {View} from './template.ts';

/** Beside what the phases run: the system itself, and what a person at its shell expects. */
const basePackages = [
	'systemd-sysv',
	'dbus',
	'libpam-systemd',
	'linux-image-amd64',
	'initramfs-tools',
	'live-boot',
	'zstd',
	'kmod',
	'nodejs',
	'mtools',
	'ca-certificates',
	'iputils-ping',
	'procps',
	'less',
	'vim-tiny',
	'debian-archive-keyring',
];

const microcode = {intel: 'intel-microcode', amd: 'amd64-microcode'};

/** The Debian packages of the image, sorted. */
export function listImagePackages(fields: CompleteProfile['fields']): string[] {
	const {debian, machine} = fields;
	const all = [
		...basePackages,
		...listPackages(fields),
		...machine.microcode.map(vendor => microcode[vendor]),
		...debian.packages,
	];
	return [...new Set(all)].sort();
}

/** The names that templates use. */
export function makeView({name, fields}: CompleteProfile): View {
	const {debian, machine, identity} = fields;
	const consoles = machine.consoles.map(console => `console=${console}`);
	const bootWords = ['boot=live', 'noeject', 'systemd.unit=bringup-install.target', ...consoles];
	return {
		release: debian.release,
		mirror: debian.mirror,
		securityMirror: debian.securityMirror,
		components: debian.components.join(' '),
		packages: listImagePackages(fields),
		locale: identity.locale,
		consoleArguments: consoles.join(' '),
		bootWords,
		bootArguments: bootWords.join(' '),
		installTitle: `Install ${name} (Debian ${debian.release})`,
		discInfo: `bringup ${name}, Debian ${debian.release} amd64`,
	};
}
