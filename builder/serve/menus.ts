import {renderUnicodeCompact} from 'uqr';
import {type NetbootTree, networkWords} from '../build/pxe.ts';
import type {Identity} from './machines.ts';

/** GRUB's single quotes cannot hold one (GRUB manual, Quoting); nor may a line end in a value. */
function quote(text: string): string {
	return `'${text.replace(/[^\x20-\x7e\u2580-\u259f ]|'/g, '?')}'`;
}

const header =
	'if [ "$grub_platform" = pc ]; then serial --unit=0 --speed=115200; terminal_output console serial; fi\n';

/** The first menu that every machine gets: it tells who it is, and asks for its own. */
export function formatFirstMenu(address: string): string {
	return [
		header,
		'smbios --type 1 --get-string 7 --set serial',
		'smbios --type 1 --get-uuid 8 --set uuid',
		'if [ -z "$uuid" ]; then set uuid=-; fi',
		'if regexp \'^[A-Za-z0-9._-]+$\' "$serial"; then set told="/$serial"; fi',
		`configfile (http,${address})/boot/$net_default_mac/$uuid$told`,
		`echo 'bringup: the server at ${address} gives no menu; next try in 30 s'`,
		'sleep 30',
		`configfile (http,${address})/grub/grub.cfg`,
		'',
	].join('\n');
}

/** Installs. `token` is the word by which this machine gets, for this boot, what no other one shall have. */
export function formatInstall(tree: NetbootTree, name: string, mac: string, address: string, token: string): string {
	const own = `machines/${name}/${token}`;
	const source = {
		image: [`live-media-path=live-${tree.buildId}`, `fetch=http://${address}/${own}`],
		'debian-installer': [
			`mirror/http/hostname=${address}`,
			`mirror/http/directory=/${own}/installer-${tree.buildId}`,
			...networkWords,
			`bringup.machine=http://${address}/${own}/machine.json`,
		],
	}[tree.method];
	// As PXELINUX writes it, which live-boot and netcfg read.
	const words = [
		...source,
		`BOOTIF=01-${mac.replaceAll(':', '-')}`,
		`bringup.report=http://${address}/report/${name}/${token}`,
	];
	return [
		header,
		`echo ${quote(`bringup: ${name}: ${tree.title}, build ${tree.buildId}`)}`,
		`linux (http,${address})/${own}/vmlinuz ${words.join(' ')} ${tree.bootWords.map(quote).join(' ')}`,
		`initrd (http,${address})/${own}/initrd.img`,
		'boot',
		'',
	].join('\n');
}

/** Says why a machine gets nothing now, and asks again. */
export function formatRefusal(lines: readonly string[], address: string): string {
	return [
		header,
		...lines.map(line => `echo ${quote(`bringup: ${line}`)}`),
		`echo 'next look in 30 s'`,
		'sleep 30',
		`configfile (http,${address})/grub/grub.cfg`,
		'',
	].join('\n');
}

/** Boots what is installed, with the menu that stands on the disk: a GRUB that leaves brings some firmware to its setup screen. */
export function formatBootDisk(name: string, address: string): string {
	return [
		header,
		`echo ${quote(`bringup: ${name} is installed; booting its disk`)}`,
		'if search --no-floppy --label --set=installed bringup-root; then',
		'	set root=$installed',
		'	set prefix=($root)/boot/grub',
		'	configfile ($root)/boot/grub/grub.cfg',
		'fi',
		`echo ${quote(`bringup: ${name} was installed and shows no such disk; give it another order in machines.yaml to install it anew`)}`,
		'sleep 30',
		`configfile (http,${address})/grub/grub.cfg`,
		'',
	].join('\n');
}

/** Shows a machine that nobody knows who it is, as text and as a code to take with a telephone; it asks again. */
export function formatUnknown({mac, serial, uuid}: Identity, address: string): string {
	const identity = {mac, ...(serial ? {serial} : {}), ...(uuid ? {uuid} : {})};
	const lines = Object.entries(identity).map(([key, value]) => `${key}: ${value}`);
	const code = renderUnicodeCompact(lines.join('\n'), {border: 1}).split('\n');
	return [
		header,
		'clear',
		...code.map(line => `echo ${quote(line)}`),
		`echo 'bringup: this machine is in no entry of machines.yaml, or in several'`,
		...lines.map(line => `echo ${quote(`  ${line}`)}`),
		`echo 'next look in 30 s'`,
		'sleep 30',
		`configfile (http,${address})/grub/grub.cfg`,
		'',
	].join('\n');
}
