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
	[/phase partition \(4\/8\): partition nvme0n1/, 0.2],
	[/phase format \(5\/8\): make ext4/, 0.3],
	[/phase unpack \(6\/8\): unpack .*10-base/, 6],
	[/phase bootloader \(7\/8\): install GRUB/, 3],
	[/phase bootloader \(7\/8\): tell the medium/, 0],
	[/phase identity \(\d+\/\d+\): make the user admin/, 0.2],
	[/phase identity \(\d+\/\d+\): make the SSH host keys/, 0.5],
	[/phase network \(\d+\/\d+\): start networkd/, 0.5],
];

test('the power is cut in every phase, and the machine still comes up provisioned, without a hand', async t => {
	t.timeout(85 * 60_000);
	const disk = {
		path: await makeTestDisk('cut.qcow2', '20G'),
		format: 'qcow2',
		bus: 'nvme',
		serial: 'NVME-0001',
	} as const;
	const setup = {
		name: 'cut',
		firmware: 'uefi-secure-boot',
		disks: [disk],
		cdrom: node.iso,
		cdromFirst: true,
		sshPort,
	} as const;
	const start = (again: boolean): Promise<Machine> => startFor(t, {...setup, again});
	let again = false;
	for (const [after, seconds] of cuts) {
		const machine = await start(again);
		again = true;
		await machine.waitFor(after, 900, failure);
		await new Promise(resolve => setTimeout(resolve, seconds * 1000));
		await machine.cut();
		t.log(`cut at ${after}`);
	}
	const machine = await start(true);
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
});
