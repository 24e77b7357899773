import {readFile} from 'node:fs/promises';
import test from 'ava';
import {buildIso, failure, findPort, makeTestDisk, startFor, writeEvidence} from './vm.ts';

async function readPackages(iso: string): Promise<string[]> {
	const text = await readFile(iso.replace(/\.iso$/, '.manifest.json'), 'utf8');
	const {packages} = JSON.parse(text) as {packages: {name: string; version: string}[]};
	return packages.map(({name, version}) => `${name} ${version}`).sort();
}

test("a medium made by Debian's own live-build installs what ours does, under Secure Boot", async t => {
	t.timeout(60 * 60_000);
	const profile = 'ovmf-tests/profiles/small.yaml';
	const own = await readPackages((await buildIso(profile)).iso);
	const {iso, login} = await buildIso(profile, 'live-build', ['--engine', 'live-build']);
	const made = await readPackages(iso);
	t.deepEqual(
		own.filter(one => !made.includes(one)),
		[],
	);
	t.log(`beside the packages of ours: ${made.filter(one => !own.includes(one)).join(', ') || 'none'}`);
	const path = await makeTestDisk('live-build.qcow2', '20G');
	const machine = await startFor(t, {
		name: 'live-build',
		firmware: 'uefi-secure-boot',
		disks: [{path, format: 'qcow2', bus: 'nvme', serial: 'NVME-0001'}],
		cdrom: iso,
		sshPort: await findPort(),
	});
	await machine.waitFor(/bringup: install done/, 1200, failure);
	await machine.waitFor(/bringup: provision done.*/, 1200, failure);
	const ask = (...command: string[]) => machine.run(login, command);
	await writeEvidence('live-build.json', await ask('bringup', 'status', '--json'));
	t.is(await ask('readlink', '/etc/resolv.conf'), '../run/systemd/resolve/stub-resolv.conf\n');
	t.regex(await ask('mokutil', '--sb-state'), /SecureBoot enabled/);
	t.is(await ask('systemctl', '--failed', '--no-legend'), '');
	t.regex(await ask('sudo', 'bringup', 'plan'), /^(\S+: nothing to do\n)+$/);
	await machine.powerOff(120);
});
