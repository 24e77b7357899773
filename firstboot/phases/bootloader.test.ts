import test from 'ava';
import {mountsOf} from '../folders.test.machine.ts';
import {bootInstalled} from './boot-installed.ts';
import {bootloader} from './bootloader.ts';
import {finish} from './finish.ts';
import {commandsOf, config, device, layout, machine, table} from './install.test.machine.ts';

const entries = (uuid: string) =>
	`BootOrder: 0003,0001\nBoot0001* CD\tPciRoot(0x0)/Pci(0x2,0x0)/SCSI(0,0)\nBoot0003* debian\tHD(2,GPT,${uuid},0x1000,0x100000)/File(\\EFI\\debian\\shimx64.efi)\n`;
const ofThisDisk = {'efibootmgr --verbose': entries(layout.espPartUuid)};
const underBios = {'ls /sys/firmware': 'acpi\n'};
const both = {...config, firmware: 'both' as const};

/** What makes a disk bootable, among the commands. */
const bootable = /BOOTX64\.EFI$|--create|grub-bios-setup|^write$/;

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
		t.is(commands.at(-1), 'write');
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

test('an entry of an earlier install on this disk is removed before a file lies where it points', async t => {
	const commands = commandsOf(await bootloader.plan(config, machine(ofThisDisk)));
	const removed = commands.indexOf('efibootmgr --quiet --bootnum 0003 --delete-bootnum');
	t.true(removed >= 0 && removed < commands.findIndex(command => command.includes('grub-install')));
	const other = machine({'efibootmgr --verbose': entries('99999999-9999-9999-9999-999999999999')});
	t.false(commandsOf(await bootloader.plan(config, other)).some(command => command.includes('--delete-bootnum')));
});

const installed = {...table({sealed: true}), ...ofThisDisk};
const espMount = mountsOf('/', '/run/bringup/esp');

test('a disk that this very medium has installed is booted, and nothing else is done', async t => {
	t.deepEqual(await bootInstalled.plan(config, machine({})), []);
	t.deepEqual(await bootInstalled.plan(config, machine(table())), []);
	t.deepEqual(commandsOf(await bootInstalled.plan(config, machine(installed))), [
		`mount -o X-mount.mkdir -t vfat ${device}-part2 /run/bringup/esp`,
	]);
	t.deepEqual(commandsOf(await bootInstalled.plan(config, machine(installed, espMount))), [
		'write',
		'efibootmgr --quiet --bootnext 0003',
		'umount /run/bringup/esp',
		'reboot',
	]);
});

test('a firmware that boots the medium all the same is not asked for ever', async t => {
	const asked = {...espMount, '/run/bringup/esp/bringup/': 'asked\tf\t0\t1\t2\t\n'};
	for (const probe of [machine(installed, asked), machine({...installed, ...underBios}, espMount)])
		await t.throwsAsync(bootInstalled.plan(config, probe), {
			message: /was installed by this very medium[\s\S]*Remove the medium/,
		});
});

test('the installed system is booted next, whatever the boot order', async t => {
	const commands = commandsOf(await finish.plan(config, machine(ofThisDisk)));
	t.true(commands.includes('efibootmgr --quiet --bootnext 0003'));
	t.is(commands.at(-1), 'reboot');
	t.deepEqual(
		commandsOf(await finish.plan(config, machine(underBios))).map(command => command.split(' ')[0]),
		['cp', 'sync', 'umount', 'reboot'],
	);
});
