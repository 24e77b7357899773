import {readFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {run} from '../builder/run.ts';
import {compare, findNamed, readInstalled} from './roads.ts';
import {
	buildIso,
	digestDisk,
	failure,
	findPort,
	folder,
	makeForeignDisk,
	makeTestDisk,
	question,
	startFor,
	writeEvidence,
} from './vm.ts';

test.serial("Debian's own installer asks nothing, and what it installs is what the image is", async t => {
	t.timeout(120 * 60_000);
	const {iso, login} = await buildIso('ovmf-tests/profiles/installer.yaml');
	const path = await makeTestDisk('installer.qcow2', '20G');
	const foreign = await makeForeignDisk('installer-foreign.raw');
	const machine = await startFor(t, {
		name: 'installer',
		firmware: 'uefi-secure-boot',
		disks: [foreign.disk, {path, format: 'qcow2', bus: 'nvme', serial: 'NVME-0001'}],
		cdrom: iso,
		sshPort: await findPort(),
	});
	const began = performance.now();
	const said = async (text: RegExp, seconds: number) => {
		const [line] = await machine.waitFor(text, seconds, question);
		t.log(`${((performance.now() - began) / 1000).toFixed(0)} s: ${line}`);
		return line;
	};
	await said(/the packages of the medium are at hand/, 900);
	await said(/bringup: choose done/, 1200);
	await said(/bringup: claim done/, 1200);
	await said(/bringup: complete done/, 5400);
	t.regex(await said(/bringup: provision done.*/, 1800), /nothing left/);
	const ask = (...command: string[]) => machine.run(login, command);
	t.regex(await ask('mokutil', '--sb-state'), /SecureBoot enabled/);
	t.is(await ask('systemctl', '--failed', '--no-legend'), '');
	t.regex(await ask('sudo', 'bringup', 'plan'), /^(\S+: nothing to do\n)+$/);
	const installed = await readInstalled(machine, login);
	await writeEvidence('installer-status.json', await ask('bringup', 'status', '--json'));
	await machine.powerOff(180);
	t.is(await digestDisk(foreign.disk.path), foreign.digest);

	const image = await buildIso('ovmf-tests/profiles/installer-image.yaml');
	const twin = await startFor(t, {
		name: 'installer-image',
		firmware: 'uefi-secure-boot',
		disks: [
			{path: await makeTestDisk('installer-image.qcow2', '20G'), format: 'qcow2', bus: 'nvme', serial: 'NVME-0001'},
		],
		cdrom: image.iso,
		sshPort: await findPort(),
	});
	await twin.waitFor(/bringup: provision done.*/, 1800, failure);
	const differences = compare(installed, await readInstalled(twin, image.login));
	await writeEvidence('installer-differences.json', JSON.stringify(differences, undefined, '\t'));
	const text = await readFile('docs/installer.md', 'utf8');
	const named = findNamed(text);
	for (const [kind, {only, missing}] of Object.entries(differences))
		for (const line of [...only, ...missing]) t.true(named.has(line.split(' ')[0] ?? ''), `${kind}: ${line}`);
	await twin.powerOff(180);
});

test.serial('with the medium left in, the machine boots what was installed', async t => {
	t.timeout(40 * 60_000);
	const {iso} = await buildIso('ovmf-tests/profiles/installer.yaml');
	// With the variables of the install: without the disk's entry OVMF shows GRUB no other drive than the one it boots.
	const machine = await startFor(t, {
		name: 'installer',
		again: true,
		firmware: 'uefi-secure-boot',
		disks: [{path: join(folder, 'installer.qcow2'), format: 'qcow2', bus: 'nvme', serial: 'NVME-0001'}],
		cdrom: iso,
		cdromFirst: true,
	});
	const [summary] = await machine.waitFor(/bringup: provision done.*/, 1200, question);
	t.regex(summary, /nothing to do/);
});

test.serial('a disk with data is shown and refused before the partitioner sees it', async t => {
	t.timeout(40 * 60_000);
	const {iso} = await buildIso('ovmf-tests/profiles/installer.yaml');
	const path = await makeTestDisk('installer-refused.raw', '20G', 'raw');
	await run(['mkfs.ext4', '-q', '-F', '-L', 'photos', path]);
	const before = await digestDisk(path);
	const machine = await startFor(t, {
		name: 'installer-refused',
		firmware: 'uefi-secure-boot',
		disks: [{path, format: 'raw', bus: 'nvme', serial: 'NVME-0001'}],
		cdrom: iso,
	});
	await machine.waitFor(/bringup: choose FAILED in phase clear/, 1200, /^-{4,}$/m);
	await machine.waitFor(/is not empty, and install\.wipe is empty[\s\S]*photos[\s\S]*nothing was changed/, 60);
	await machine.cut();
	t.is(await digestDisk(path), before);
});
