import {listPackages, trialSeconds} from '../../firstboot/sequence.ts';
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

/** Without the section network it is DHCP on every wired link, by these. */
const networkPackages = ['systemd-resolved', 'systemd-timesyncd', 'iproute2'];

/** The Debian packages of the image, sorted. */
export function listImagePackages(fields: CompleteProfile['fields']): string[] {
	const {debian, machine, image, network} = fields;
	const all = [
		...basePackages,
		...(network ? [] : networkPackages),
		...listPackages(fields),
		...(image ? [] : machine.microcode.map(vendor => microcode[vendor])), // of a virtual machine the processor is its host's
		...debian.packages,
	];
	return [...new Set(all)].sort();
}

/**
 * What only the image needs; and what debian-installer takes by itself, for the firmware that it runs under. The signed
 * GRUB it only recommends, and without recommendations installs one that Secure Boot refuses.
 */
const notInstalled = ['live-boot', 'squashfs-tools', 'grub-efi-amd64', 'grub-pc-bin'];

/** The Debian packages that debian-installer is asked for, sorted. */
export function listInstallerPackages(fields: CompleteProfile['fields']): string[] {
	return listImagePackages(fields).filter(name => !notInstalled.includes(name));
}

/** What the kernel of the medium is told: of live-boot's system, or of debian-installer, which reads the preseed in its initramfs. */
function listBootWords({install, machine}: CompleteProfile['fields']): string[] {
	const consoles = machine.consoles.map(console => `console=${console}`);
	return install.method === 'image'
		? ['boot=live', 'noeject', 'systemd.unit=bringup-install.target', ...consoles]
		: ['bringup.installer', 'auto=true', 'priority=critical', 'DEBIAN_FRONTEND=text', ...consoles];
}

/**
 * The partitions of partman-auto, in its own words (partman-auto-recipe.txt), sizes in decimal megabytes: BIOS boot, ESP,
 * root, by the same numbers as the other road's.
 */
const recipe = [
	'bringup ::',
	'1 1 1 free method{ biosgrub } .',
	'537 537 537 free method{ efi } format{ } .',
	'4000 8000 -1 ext4 method{ format } format{ } use_filesystem{ } filesystem{ ext4 } label{ bringup-root } mountpoint{ / } .',
].join(' ');

/** The rendered tree is shown to people. */
function withoutPassword(uri: string): string {
	const url = new URL(uri);
	if (url.username === '' && url.password === '') return uri;
	return Object.assign(url, {username: '', password: ''}).href;
}

/** The names that templates use. */
export function makeView({name, fields}: CompleteProfile): View {
	const {debian, machine, identity, image, network} = fields;
	const consoles = machine.consoles.map(console => `console=${console}`);
	const bootWords = listBootWords(fields);
	return {
		release: debian.release,
		mirror: debian.onMachine.mirror,
		securityMirror: debian.onMachine.securityMirror,
		buildMirror: withoutPassword(debian.mirror),
		buildSecurityMirror: withoutPassword(debian.securityMirror),
		components: debian.components.join(' '),
		packages: listImagePackages(fields),
		installerPackages: listInstallerPackages(fields),
		installerLocale: /^C(\.|$)/.test(identity.locale) ? 'en_US.UTF-8' : identity.locale,
		image: image ? ['image'] : [],
		defaultNetwork: image || !network ? ['network'] : [],
		timezone: identity.timezone,
		recipe,
		trialSeconds: String(trialSeconds),
		locale: identity.locale,
		consoleArguments: consoles.join(' '),
		bootWords,
		bootArguments: bootWords.join(' '),
		installTitle: `Install ${name} (Debian ${debian.release})`,
		discInfo: `bringup ${name}, Debian ${debian.release} amd64`,
	};
}
