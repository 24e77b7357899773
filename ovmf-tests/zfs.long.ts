import {join} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import test from 'ava';
import type {Machine} from '../builder/boot/machine.ts';
import {sendQmp} from '../builder/boot/qmp.ts';
import {
	type Artefact,
	buildIso,
	failure,
	findPort,
	listTestDisks,
	makeAssets,
	makeTestDisks,
	type Setup,
	startFor,
	writeEvidence,
} from './vm.ts';

let artefact: Artefact;
let sshPort = 0;
const sizes = {'NVME-SYSTEM': '20G', LEFT: '2G', RIGHT: '2G'};
const disks = listTestDisks('zfs', sizes);

test.before('the ISO of a machine with pools', async t => {
	t.timeout(40 * 60_000);
	await makeAssets();
	await makeTestDisks('zfs', sizes);
	artefact = await buildIso('ovmf-tests/profiles/zfs.yaml');
	sshPort = await findPort();
});

const setup = (more: Partial<Setup> = {}): Setup => ({
	name: 'zfs',
	firmware: 'uefi-secure-boot',
	memory: 3072,
	disks,
	sshPort,
	...more,
});

/** Presses keys at the machine's keyboard, one after the other. */
async function press(machine: Machine, keys: readonly string[]): Promise<void> {
	for (const key of keys) {
		await sendQmp(join(machine.options.folder, 'qmp.sock'), 'send-key', {keys: [{type: 'qcode', data: key}]});
		await sleep(1500);
	}
}

/** Does what the machine asks a person to do at its console. */
async function confirmKey(machine: Machine): Promise<void> {
	await machine.waitFor(/Press any key to perform MOK management/, 300);
	await press(machine, ['ret']);
	await machine.waitFor(/Enroll MOK/, 60);
	await press(machine, ['down', 'ret']);
	await machine.waitFor(/View key 0/, 60);
	await press(machine, ['down', 'ret']);
	await machine.waitFor(/Yes/, 60);
	await press(machine, ['down', 'ret']);
	await machine.waitFor(/Password/, 60);
	await press(machine, [...'confirm', 'minus', ...'me', 'ret']);
	await machine.waitFor(/Reboot/, 60);
	await press(machine, ['ret']);
}

test.serial('under Secure Boot the pools wait for a person at the console, and then they are made', async t => {
	t.timeout(45 * 60_000);
	const machine = await startFor(t, setup({cdrom: artefact.iso}));
	const ask = (...command: string[]) => machine.run(artefact.login, command);
	await machine.waitFor(/bringup: install done/, 1200, failure);
	const [refused] = await machine.waitFor(/FAILED in phase pools[\s\S]*?bringup: provision failed/, 1200);
	t.regex(refused, /ZFS waits for a person[\s\S]*Enroll MOK, Continue, Yes/);
	await ask('sudo', 'systemctl', 'reboot').catch(() => {}); // the connection ends with the machine
	await confirmKey(machine);
	const [summary] = await machine.waitFor(/bringup: provision done.*/, 1500, failure);
	t.regex(summary, /pools \(\d+\), datasets \(2\)/);
	t.regex(await ask('sudo', 'mokutil', '--sb-state'), /SecureBoot enabled/);
	t.regex(await ask('sudo', 'zpool', 'status', 'tank'), /state: ONLINE[\s\S]*mirror-0/);
	t.regex(
		await ask('findmnt', '--list', '--noheadings', '--types', 'zfs', '--output', 'TARGET,SOURCE'),
		/^\/srv\/photos +tank\/photos\n\/srv\/photos\/raw +tank\/photos\/raw$/m,
	);
	t.regex(await ask('sudo', 'virsh', 'list', '--state-running', '--name'), /^guest-1$/m);
	t.regex(await ask('sudo', 'virsh', 'domblklist', 'guest-1'), /\/dev\/zvol\/tank\/vms\/guest-1-0/);
	t.is((await ask('zfs', 'get', '-H', '-p', '-o', 'value', 'quota', 'tank/photos')).trim(), String(2 ** 40));
	t.regex(await ask('systemctl', 'list-timers', '--no-legend'), /zfs-scrub-monthly@tank\.timer/);
	t.regex(await ask('sudo', 'bringup', 'plan'), /^(\S+: nothing to do\n)+$/);
	await ask('sudo', 'cp', '/etc/hostname', '/srv/photos/raw/one');
	await ask('sync');
	await writeEvidence('zfs-first-boot.json', await ask('bringup', 'status', '--json'));
	await machine.cut();
});

test.serial('after the power was cut nothing is left to do, and the pool is there', async t => {
	t.timeout(20 * 60_000);
	const machine = await startFor(t, setup({again: true}));
	const [summary] = await machine.waitFor(/bringup: provision done.*/, 900, failure);
	t.regex(summary, /provision done; nothing to do/);
	t.regex(await machine.run(artefact.login, ['cat', '/srv/photos/raw/one']), /node/);
	t.regex(await machine.run(artefact.login, ['sudo', 'virsh', 'list', '--state-running', '--name']), /^guest-1$/m);
	t.is((await machine.run(artefact.login, ['systemctl', '--failed', '--no-legend'])).trim(), '');
});

test.serial('installed anew, the machine takes its pool back', async t => {
	t.timeout(40 * 60_000);
	const anew = await buildIso('ovmf-tests/profiles/zfs-anew.yaml');
	const machine = await startFor(t, setup({cdrom: anew.iso, cdromFirst: true, again: true}));
	await machine.waitFor(/erase .*wipe: same-machine/, 600, failure);
	await machine.waitFor(/bringup: install done/, 1200, failure);
	// The key of the system before went with its disk; the new one has its own.
	await machine.waitFor(/FAILED in phase pools[\s\S]*?bringup: provision failed/, 1200);
	// Without the medium: the firmware that asks for the key boots whatever comes first, and shows it no other disk.
	await machine.powerOff(180);
	const again = await startFor(t, setup({again: true}));
	await confirmKey(again);
	await again.waitFor(/bringup: provision done.*/, 900, failure);
	t.regex(await again.run(anew.login, ['cat', '/srv/photos/raw/one']), /node/);
	const serial = await again.readSerial();
	t.regex(serial, /take the pool tank back/);
	t.false(/phase (data-disks|pools|datasets) .*: (partition|erase|make (?!it durable))/.test(serial));
	await again.run(anew.login, ['sudo', 'virsh', 'destroy', 'guest-1']); // as in whole.long.ts
	await again.powerOff(180);
});
