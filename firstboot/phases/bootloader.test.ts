import test from 'ava';
import {mountsOf} from '../folders.test.machine.ts';
import {bootInstalled} from './boot-installed.ts';
import {bootloader} from './bootloader.ts';
import {commandsOf, config, device, layout, machine, marked, table} from './install.test.machine.ts';

const entries = (uuid: string) =>
	`BootOrder: 0003,0001\nBoot0001* CD\tPciRoot(0x0)/Pci(0x2,0x0)/SCSI(0,0)\nBoot0003* debian\tHD(2,GPT,${uuid},0x1000,0x100000)/File(\\EFI\\debian\\shimx64.efi)\n`;
const ofThisDisk = {'efibootmgr --verbose': entries(layout.espPartUuid)};
const underBios = {'ls /sys/firmware': 'acpi\n'};
const both = {...config, firmware: 'both' as const};

/** What makes a disk bootable, among the commands. */
const bootable = /BOOTX64\.EFI$|--create|grub-bios-setup|^write$|^dd /;

test('what makes the disk bootable comes last, when all else is durable', async t => {
	for (const [wanted, firmware] of [
		[config, {}],
		[both, {}],
		[config, underBios],
		[both, underBios],
	] as const) {
		const commands = commandsOf(await bootloader.plan(wanted, machine(firmware)));
		const first = commands.findIndex(command => bootable.test(command) && !command.startsWith('cp'));
		const durable = commands.indexOf('sync --file-system /target /target/boot/efi');
		t.true(durable > commands.indexOf('chroot /target update-grub') && durable < first);
		for (const command of commands.filter(command => command.includes('grub-install')))
			t.regex(command, /--no-nvram$|--no-bootsector /);
		t.deepEqual(commands.slice(-2), ['write', `dd of=${device} bs=512 seek=4095 conv=notrunc,fsync status=none`]);
	}
});

test('under UEFI GRUB goes to the ESP, the removable path and the firmware, under BIOS to the disk', async t => {
	const targets = async (wanted: typeof config, firmware: object) =>
		commandsOf(await bootloader.plan(wanted, machine({...firmware}))).flatMap(
			line => / grub-install --target=(\S+)|^(efibootmgr|mv)|(bios-setup)/.exec(line)?.slice(1).join('') ?? [],
		);
	t.deepEqual(await targets(config, {}), ['x86_64-efi', 'mv', 'efibootmgr']);
	t.deepEqual(await targets(both, {}), ['x86_64-efi', 'i386-pc', 'bios-setup', 'mv', 'efibootmgr']);
	t.deepEqual(await targets(both, underBios), ['x86_64-efi', 'i386-pc', 'bios-setup', 'mv']);
	t.deepEqual(await targets(config, underBios), ['i386-pc', 'bios-setup']);
});

test('a plan for a machine as found asks the firmware for no entries', async t => {
	const silent = machine({'efibootmgr --verbose': undefined});
	t.true((await bootloader.plan(config, silent)).length > 0);
});

test('an entry of an earlier install on this disk is removed before a file lies where it points', async t => {
	const commands = commandsOf(await bootloader.plan(config, machine({...table(), ...ofThisDisk})));
	const removed = commands.indexOf('efibootmgr --quiet --bootnum 0003 --delete-bootnum');
	t.true(removed >= 0 && removed < commands.findIndex(command => command.includes('grub-install')));
	const other = machine({...table(), 'efibootmgr --verbose': entries('99999999-9999-9999-9999-999999999999')});
	t.false(commandsOf(await bootloader.plan(config, other)).some(command => command.includes('--delete-bootnum')));
});

const menu = `menuentry 'Debian GNU/Linux' {
	echo	'Loading Linux 6.12 ...'
	linux	/boot/vmlinuz-6.12 root=UUID=${layout.rootUuid} ro  console=ttyS0,115200 console=tty0 $vt_handoff
	echo	'Loading initial ramdisk ...'
	initrd	/boot/bringup-links.img /boot/initrd.img-6.12
}
submenu 'Advanced options' {
	linux	/boot/vmlinuz-6.1 root=UUID=other ro single
	initrd	/boot/initrd.img-6.1
}
`;
const mounted = {...mountsOf('/', '/target'), '/target/boot/grub/grub.cfg': menu};
const whole = marked(layout.rootPartUuid, device, 4095, 'installed');

test('a disk that this very medium has installed is booted, before anything else is asked', async t => {
	t.deepEqual(await bootInstalled.plan(config, machine({})), []);
	t.deepEqual(await bootInstalled.plan(config, machine(table())), []);
	for (const found of [table({sealed: true}), {...table(), ...whole}]) {
		t.deepEqual(commandsOf(await bootInstalled.plan(config, machine(found))), [
			`mount -o ro,X-mount.mkdir -t ext4 ${device}-part3 /target`,
		]);
		const steps = await bootInstalled.plan(config, machine(found, mounted));
		t.deepEqual(commandsOf(steps), [
			'dd if=/target/boot/bringup-links.img of=/run/bringup/initrd.img bs=1M status=none',
			'dd if=/target/boot/initrd.img-6.12 of=/run/bringup/initrd.img bs=1M status=none oflag=append conv=notrunc',
			`kexec --load --kexec-syscall-auto --initrd=/run/bringup/initrd.img --command-line=root=UUID=${layout.rootUuid} ro  console=ttyS0,115200 console=tty0 /target/boot/vmlinuz-6.12`,
			'umount /target',
			'reboot',
		]);
		t.true(steps.at(-1)?.do === 'reboot' && (steps.at(-1) as {kexec?: true}).kexec);
	}
	const others = table({sealed: true, uuid: '11111111-1111-1111-1111-111111111111'});
	t.deepEqual(await bootInstalled.plan(config, machine(others)), []);
});

test('a system whose boot menu is not there is not called bootable', async t => {
	const none = mountsOf('/', '/target');
	await t.throwsAsync(bootInstalled.plan(config, machine(table({sealed: true}), none)), {message: /has no kernel/});
});

test('an install that is whole needs no boot loader, one that only looks so does', async t => {
	t.deepEqual(await bootloader.plan(config, machine({...table(), ...whole})), []);
	t.true((await bootloader.plan(config, machine(table()))).length > 0);
});
