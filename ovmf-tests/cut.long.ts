import test from 'ava';
import type {Machine} from '../builder/boot/machine.ts';
import {type Artefact, buildIso, failure, findPort, makeTestDisk, startFor} from './vm.ts';

let node: Artefact;
let sshPort = 0;

test.before(async t => {
	t.timeout(15 * 60_000);
	node = await buildIso('ovmf-tests/profiles/small.yaml');
	sshPort = await findPort();
});

/** Where the power goes: right after this line, and a little later, so that the step is under way. */
const cuts: [after: RegExp, seconds: number][] = [
	[/phase partition .*: partition nvme0n1/, 0.2],
	[/phase format .*: make ext4/, 0.3],
	[/phase unpack .*: unpack .*10-base/, 6],
	[/phase bootloader .*: install GRUB/, 3],
	[/phase bootloader .*: write the boot menu/, 1],
	[/phase bootloader .*: let firmware start from the removable path/, 0],
	[/phase bootloader .*: make the firmware entry/, 0.2],
	[/phase bootloader .*: mark nvme0n1 as installed/, 0],
	[/phase identity .*: make the user admin/, 0.2],
	[/phase identity .*: make the SSH host keys/, 0.5],
	[/phase network .*: start networkd/, 0.5],
];

const installCuts = cuts.findIndex(([after]) => /identity/.test(after.source));

/** A medium that comes first in the boot order is all that the firmware shows to GRUB; one that comes last leaves the disk to the firmware. */
for (const cdromFirst of [true, false]) testCuts(cdromFirst);

function testCuts(cdromFirst: boolean): void {
	const order = cdromFirst ? 'first' : 'last';
	test.serial(
		`the power is cut in every phase of the install, the medium ${order} in the boot order, and the machine still comes up provisioned, without a hand`,
		async t => {
			t.timeout(85 * 60_000);
			const name = `cut-${order}`;
			const disk = {
				path: await makeTestDisk(`${name}.qcow2`, '20G'),
				format: 'qcow2',
				bus: 'nvme',
				serial: 'NVME-0001',
			} as const;
			const setup = {name, firmware: 'uefi-secure-boot', disks: [disk], cdrom: node.iso, cdromFirst, sshPort} as const;
			const start = (again: boolean): Promise<Machine> => startFor(t, {...setup, again});
			let machine = await start(false);
			let missed = 0;
			for (const [index, [after, seconds]] of cuts.entries()) {
				const isOfInstall = index < installCuts;
				// A cut near the end of the install may come when all is done: the machine then boots its disk.
				const beyond = isOfInstall ? '|bringup: provision of profile' : '';
				const wanted = new RegExp(after.source + beyond);
				const [found] = missed > 0 && isOfInstall ? [''] : await machine.waitFor(wanted, 900, failure);
				if (!after.test(found)) {
					missed++;
					t.log(`no cut at ${after}: the install was whole before`);
					continue;
				}
				await new Promise(resolve => setTimeout(resolve, seconds * 1000));
				await machine.cut();
				t.log(`cut at ${after}`);
				machine = await start(true);
			}
			t.true(missed <= 2);
			await machine.waitFor(/bringup: provision done.*/, 900, failure);
			const ask = (...command: string[]) => machine.run(node.login, command);
			t.is(await ask('systemctl', '--failed', '--no-legend'), '');
			t.regex(await ask('sudo', 'bringup', 'plan'), /^(\S+: nothing to do\n)+$/);
			t.is(
				await ask(
					'sudo',
					'find',
					'/etc/ssh',
					'/etc/systemd/network',
					'/etc/sudoers.d',
					'/etc/hostname',
					'-type',
					'f',
					'-empty',
				),
				'',
			);
			await machine.powerOff(120);
		},
	);
}
