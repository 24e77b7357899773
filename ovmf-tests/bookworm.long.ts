import test from 'ava';
import {buildIso, failure, findPort, makeTestDisk, startFor, writeEvidence} from './vm.ts';

test('Debian 12 installs under BIOS, with a static address, a locale and a password', async t => {
	t.timeout(60 * 60_000);
	const {iso, login} = await buildIso('ovmf-tests/profiles/bookworm.yaml');
	const disk = {
		path: await makeTestDisk('bookworm.qcow2', '20G'),
		format: 'qcow2',
		bus: 'virtio',
		serial: 'SATA-0001',
	} as const;
	const setup = {name: 'bookworm', firmware: 'bios', disks: [disk], cdrom: iso, sshPort: await findPort()} as const;
	const machine = await startFor(t, setup);
	await machine.waitFor(/bringup: install done/, 1200, failure);
	await machine.waitFor(/bringup: provision done.*/, 1200, failure);
	const ask = (...command: string[]) => machine.run(login, command);
	await writeEvidence('bookworm.json', await ask('bringup', 'status', '--json'));
	t.regex(await ask('cat', '/etc/debian_version'), /^12\./);
	t.is((await ask('hostname')).trim(), 'node-bu-0001');
	t.regex(await ask('cat', '/etc/default/locale'), /^LANG=de_DE\.UTF-8$/m);
	t.regex(await ask('locale', '-a'), /^de_DE\.utf8$/m);
	t.regex(await ask('date', '+%Z'), /^CES?T$/m);
	t.regex(await ask('ip', '-brief', 'address', 'show', 'br0'), /10\.0\.2\.15\/24/);
	t.regex(await ask('ip', 'route'), /default via 10\.0\.2\.2 dev br0/);
	t.regex(await ask('sudo', 'getent', 'shadow', 'admin'), /^admin:\$6\$bringuptest\$/);
	t.regex(await ask('command', '-v', 'tree'), /tree/);
	t.is(await ask('systemctl', '--failed', '--no-legend'), '');
	t.regex(await ask('sudo', 'bringup', 'plan'), /^(\S+: nothing to do\n)+$/);
	await machine.powerOff(120);
});
