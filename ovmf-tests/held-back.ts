import type {ExecutionContext} from 'ava';
import type {Login, Machine} from '../builder/boot/machine.ts';
import {change} from './locked-out.ts';

/** A disk with foreign data is refused; what does not lie on it is provisioned. A machine.json with a fault changes nothing. */
export async function assertRefused(t: ExecutionContext, machine: Machine, login: Login): Promise<void> {
	const ask = (...command: string[]) => machine.run(login, command);
	const path = '/etc/bringup/machine.json';
	await ask('sudo', 'cp', path, '/root/machine.json');
	await change(ask, '"disks": {', '"disks": {"extra": {"serial": "EXTRA", "wipe": false},');
	const [faulty] = await machine.waitFor(/FAILED in phase profile[\s\S]*?bringup: provision failed.*/, 300);
	t.regex(faulty, /nothing was changed\n *storage\.disks\.extra: extra is used by nothing/);
	await ask('sudo', 'rm', '/etc/sudoers.d/20-bringup-recovery');
	await ask('sudo', 'systemctl', 'stop', 'k3s');
	await change(
		ask,
		'"filesystems": {',
		'"filesystems": {"extra": {"on": "extra", "type": "ext4", "mount": "/srv/extra"},',
	);
	const [refused] = await machine.waitFor(/FAILED in phase data-disks[\s\S]*?bringup: provision failed.*/, 600);
	t.regex(
		refused,
		/storage\.disks\.extra: .* carries data that is not ours\n[\s\S]*found {3}ext4 "precious"[\s\S]*wipe: true/,
	);
	t.regex(refused, /did recovery \(\d+\), (.*, )?kubernetes \(\d+\); failed in data-disks;/);
	t.regex(await ask('sudo', 'k3s', 'kubectl', 'get', 'nodes'), /node-1 +Ready/);
	t.regex(
		await machine.run(login, ['sudo', 'bash'], 'bringup status || true\n'),
		/filesystems: nothing to do without what lies on what failed in data-disks/,
	);
	await ask('sudo', 'cp', '/root/machine.json', path);
	await ask('sudo', 'systemctl', 'restart', '--no-block', 'bringup');
	await machine.waitFor(/bringup: provision done.*/, 300);
}
