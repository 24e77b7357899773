import {readFile} from 'node:fs/promises';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import type {Machine} from '../builder/boot/machine.ts';
import {ProgramError, run} from '../builder/run.ts';
import {
	type Artefact,
	buildIso,
	failure,
	findPort,
	makeAssets,
	makeStick,
	makeTestDisk,
	startFor,
	writeEvidence,
} from './vm.ts';

let node: Artefact;
let sshPort = 0;

test.before('the command of the README makes the ISO', async t => {
	t.timeout(20 * 60_000);
	sshPort = await findPort();
	await makeAssets();
	node = await buildIso('ovmf-tests/profiles/node.yaml');
});

/** What the shipped profile has, by the phases that make it. */
const sections = ['seal', 'identity', 'network', 'firewall', 'hardening', 'virtualization', 'containers', 'kubernetes'];

type Ask = (...command: string[]) => Promise<string>;

/** Each section of the shipped profile by its effect, asked of the program that it is about. */
async function assertSections(t: ExecutionContext, ask: Ask): Promise<void> {
	t.regex(await ask('ip', '-brief', 'address', 'show', 'iot'), /198\.51\.100\.1\/24/);
	t.regex(await ask('sudo', 'bridge', 'vlan', 'show', 'dev', 'mgmt'), /\b30\b/);
	t.regex(await ask('sudo', 'nft', 'list', 'chain', 'inet', 'bringup', 'input'), /policy drop/);
	t.regex(await ask('sudo', 'sshd', '-T'), /^passwordauthentication no$/m);
	t.is((await ask('systemctl', 'is-active', 'fail2ban')).trim(), 'active');
	t.regex(await ask('systemctl', 'list-timers', '--no-legend'), /bringup-reboot\.timer/);
	t.regex(await ask('sudo', 'virsh', 'net-list', '--name'), /^lan\n*$/);
	t.regex(await ask('loginctl', 'show-user', 'apps', '-P', 'Linger'), /yes/);
	t.regex(await ask('sudo', 'k3s', 'kubectl', 'get', 'nodes'), /node-525400627501 +Ready/);
	t.is(await ask('systemctl', '--failed', '--no-legend'), '');
}

/** Waits until the sequence ends, and keeps its status as evidence. */
async function waitForProvision(machine: Machine, name: string): Promise<string> {
	const [summary] = await machine.waitFor(/bringup: provision done.*/, 1500, failure);
	await writeEvidence(`${name}.json`, await machine.run(node.login, ['bringup', 'status', '--json']));
	return summary;
}

test.serial(
	'under Secure Boot the medium installs a blank NVMe disk, and the machine comes up provisioned',
	async t => {
		t.timeout(40 * 60_000);
		const disk = {
			path: await makeTestDisk('node.qcow2', '20G'),
			format: 'qcow2',
			bus: 'nvme',
			serial: 'NVME-0001',
		} as const;
		const machine = await startFor(t, {
			name: 'node',
			firmware: 'uefi-secure-boot',
			disks: [disk],
			cdrom: node.iso,
			memory: 3072,
			sshPort,
		});
		const began = Date.now();
		const stage = (text: string) => t.log(`${((Date.now() - began) / 1000).toFixed(0)} s: ${text}`);
		await machine.waitFor(/secureboot: Secure boot enabled/, 300, failure);
		stage('kernel of the medium, Secure Boot enabled');
		await machine.waitFor(/bringup: install of profile node/, 600, failure);
		stage('install begins');
		await machine.waitFor(/take nvme0n1 \(QEMU NVMe Ctrl, NVME-0001, 21\.5 GB\)/, 60, failure);
		await machine.waitFor(/bringup: install done/, 600, failure);
		stage('install done');
		await machine.waitFor(/secureboot: Secure boot enabled/, 300, failure);
		await machine.waitFor(/bringup: provision of profile node/, 600, failure);
		stage('first boot, provision begins');
		const summary = await waitForProvision(machine, 'node-first-boot');
		stage('provision done');
		for (const phase of sections) t.regex(summary, new RegExp(`\\b${phase} \\(\\d+\\)`));
		t.regex(summary, /nothing left; br0 10\.0\.2\.15/);

		const ask = (...command: string[]) => machine.run(node.login, command);
		t.regex(await ask('mokutil', '--sb-state'), /SecureBoot enabled/);
		await assertSections(t, ask);
		const links = JSON.parse(await ask('ip', '-json', 'address', 'show')) as {
			ifname: string;
			address: string;
			master?: string;
			addr_info: {local: string}[];
		}[];
		const bridge = links.find(({ifname}) => ifname === 'br0');
		t.is(bridge?.address, '52:54:00:62:75:01');
		t.true(bridge?.addr_info.some(({local}) => local === '10.0.2.15'));
		t.is(links.find(({ifname}) => ifname === 'mgmt')?.master, 'br0');
		t.is(JSON.parse(await ask('bringup', 'status', '--json')).state, 'done');
		t.is((await ask('hostname')).trim(), 'node-525400627501');
		t.regex(await ask('cat', '/run/motd.d/10-bringup'), /^bringup: provision done;.*br0 10\.0\.2\.15$/m);
		t.regex(await ask('sudo', 'sfdisk', '--json', '/dev/nvme0n1'), /"name": "bringup-root"/);
		t.regex(await ask('sudo', 'bringup', 'plan'), /^(\S+: nothing to do\n)+$/);
		await ask('sudo', 'systemctl', 'start', 'bringup-snapshot');
		await ask('sudo', 'test', '-s', '/var/cache/bringup/snapshot');
		t.false((await ask('cat', '/etc/apt/sources.list.d/debian.sources')).includes('copy:'));

		const withoutKey = [
			'PubkeyAuthentication=no',
			'StrictHostKeyChecking=no',
			'UserKnownHostsFile=/dev/null',
			'BatchMode=yes',
			'LogLevel=ERROR',
		];
		const refused = run([
			'ssh',
			...withoutKey.flatMap(option => ['-o', option]),
			'-p',
			String(sshPort),
			'admin@127.0.0.1',
			'true',
		]);
		const denied = await t.throwsAsync(refused, {instanceOf: ProgramError});
		t.regex(denied?.output ?? '', /Permission denied \(publickey\)/);

		const entries = await ask('efibootmgr');
		const current = /BootCurrent: (\w+)/.exec(entries)?.[1];
		t.regex(entries, new RegExp(`Boot${current}\\* debian`));
		await machine.powerOff(120);
	},
);

/** Switches the installed machine on with the medium first in the boot order; nothing is left to do. */
async function bootWithMedium(t: ExecutionContext, name: string): Promise<Machine> {
	const disk = {path: join('out/test', 'node.qcow2'), format: 'qcow2', bus: 'nvme', serial: 'NVME-0001'} as const;
	const machine = await startFor(t, {
		name: 'node',
		firmware: 'uefi-secure-boot',
		disks: [disk],
		cdrom: node.iso,
		cdromFirst: true,
		memory: 3072,
		sshPort,
		again: true,
	});
	await machine.waitFor(/bringup: provision of profile node/, 900, /phase partition|FAILED in phase|Kernel panic/);
	const summary = await waitForProvision(machine, name);
	t.regex(summary, /provision done; nothing to do; nothing left; br0 10\.0\.2\.15/);
	const serial = await machine.readSerial();
	for (const phase of sections) t.regex(serial, new RegExp(`phase ${phase} \\(\\d+/\\d+\\): nothing to do`));
	const began = ['systemctl', 'show', '-P', 'InactiveExitTimestampMonotonic', 'bringup-snapshot'];
	t.is(await machine.run(node.login, began), '0\n', 'it started from its snapshot, and so makes none');
	await assertSections(t, (...command) => machine.run(node.login, command));
	return machine;
}

test.serial('with the medium left in, GRUB on it boots the disk, and nothing is left to do', async t => {
	t.timeout(15 * 60_000);
	const machine = await bootWithMedium(t, 'node-third-boot');
	t.notRegex(await machine.readSerial(), /install of profile/);
	await machine.powerOff(300);
});

// The firmware drops the entry of the disk, which a boot order without it does not name, and connects the CD alone.
test.serial(
	'where the firmware shows GRUB on the medium no disk, the installer starts the system by kexec',
	async t => {
		t.timeout(15 * 60_000);
		const machine = await bootWithMedium(t, 'node-fourth-boot');
		t.regex(await machine.readSerial(), /phase boot-installed .*: start it/);
		t.regex(await machine.run(node.login, ['mokutil', '--sb-state']), /SecureBoot enabled/);
		await machine.powerOff(300);
	},
);

test.serial('as a USB disk under BIOS it comes to the install, and two equal disks stop it', async t => {
	t.timeout(15 * 60_000);
	const pair = ['twin-1', 'twin-2'].map(async serial => {
		return {path: await makeTestDisk(`${serial}.qcow2`, '20G'), format: 'qcow2', bus: 'nvme', serial} as const;
	});
	const stick = {
		path: await makeStick(node.iso, 'stick-bios.img'),
		format: 'raw',
		bus: 'usb',
		serial: 'STICK',
		bootIndex: 0,
	} as const;
	const machine = await startFor(t, {name: 'bios-usb', firmware: 'bios', disks: [stick, ...(await Promise.all(pair))]});
	await machine.waitFor(/bringup: install of profile node/, 900, /Kernel panic/);
	await machine.waitFor(/install FAILED in phase disk/, 120);
	const [text] = await machine.waitFor(
		/install\.disk must match exactly one disk and matches 2[\s\S]*bringup: install failed/,
		60,
	);
	// Which of them the kernel finds first is left to chance.
	for (const twin of ['twin-1', 'twin-2'])
		t.regex(text, new RegExp(`serial   ${twin}\n.*wwid.*\n.*contents empty\n.*matches the selector`));
	t.regex(text, /refused: it is the boot medium/);
	t.regex(text, /install: \{disk: \{wwid: /);
	await machine.waitFor(/nothing more is written/, 60);
	await machine.cut();
	const partition = await findEfiPartition(stick.path);
	t.regex(await run(['mtype', '-i', `${stick.path}@@${partition}`, '::install.log']), /matches 2/);
});

/** The byte at which the EFI partition of a stick begins. */
async function findEfiPartition(path: string): Promise<number> {
	const {partitiontable} = JSON.parse(await run(['sfdisk', '--json', path])) as {
		partitiontable: {partitions: {start: number; type: string}[]};
	};
	const efi = partitiontable.partitions.find(({type}) => type.startsWith('C12A7328'));
	return (efi?.start ?? 0) * 512;
}

test.serial(
	'as a USB disk under UEFI it comes to the install, and a disk with foreign data stops it, untouched',
	async t => {
		t.timeout(15 * 60_000);
		const raw = await makeTestDisk('foreign.img', '20G', 'raw');
		await run(['mkfs.ext4', '-q', '-L', 'precious', raw]);
		const path = join('out/test', 'foreign.qcow2'); // small, so that every byte of it is compared
		await run(['qemu-img', 'convert', '-f', 'raw', '-O', 'qcow2', raw, path]);
		const before = await run(['sha256sum', path]);
		const foreign = {path, format: 'qcow2', bus: 'nvme', serial: 'FOREIGN'} as const;
		const stick = {
			path: await makeStick(node.iso, 'stick-uefi.img'),
			format: 'raw',
			bus: 'usb',
			serial: 'STICK',
			bootIndex: 0,
		} as const;
		const machine = await startFor(t, {name: 'uefi-usb', firmware: 'uefi', disks: [stick, foreign]});
		await machine.waitFor(/bringup: install of profile node/, 900, /Kernel panic/);
		const [text] = await machine.waitFor(/install FAILED in phase partition[\s\S]*bringup: install failed/, 180);
		t.regex(text, /nvme0n1 \(QEMU NVMe Ctrl, FOREIGN\) is not empty, and install\.wipe is empty/);
		t.regex(text, /contents ext4 "precious"/);
		t.regex(text, /nothing was changed/);
		await machine.waitFor(/nothing more is written/, 60);
		await machine.cut();
		t.is(await run(['sha256sum', path]), before);
	},
);

test.serial('shim and GRUB on the medium are those of Debian, byte for byte', async t => {
	const text = await readFile(node.iso.replace(/\.iso$/, '.manifest.json'), 'utf8');
	const manifest = JSON.parse(text) as {buildId: string; packages: {name: string}[]};
	t.true(manifest.packages.some(({name}) => name === 'shim-signed'));
	const at = await findEfiPartition(node.iso);
	const digest = async (file: string) => run(['sha256sum', file]).then(text => text.split(' ')[0]);
	for (const [onMedium, packaged] of [
		['BOOTX64.EFI', 'usr/lib/shim/shimx64.efi.signed'],
		['grubx64.efi', 'usr/lib/grub/x86_64-efi-signed/gcdx64.efi.signed'],
	] as const) {
		const copy = join('out/test', onMedium);
		await run(['mcopy', '-n', '-o', '-i', `${node.iso}@@${at}`, `::EFI/BOOT/${onMedium}`, copy]);
		await run([
			'xorriso',
			'-osirrox',
			'on',
			'-indev',
			node.iso,
			'-extract',
			`/live-${manifest.buildId}/10-base.squashfs`,
			'out/test/base.squashfs',
		]);
		await run([
			'unsquashfs',
			'-force',
			'-no-progress',
			'-no-xattrs',
			'-dest',
			'out/test/base',
			'out/test/base.squashfs',
			packaged,
		]);
		t.is(await digest(copy), await digest(join('out/test/base', packaged)));
	}
});
