import type {ExecutionContext} from 'ava';
import type {Login, Machine} from '../builder/boot/machine.ts';

/** A volume that LVM has not activated is not made anew, and an array that runs on one member is not called whole. */
export async function assertDataKept(t: ExecutionContext, machine: Machine, login: Login): Promise<void> {
	const ask = (...command: string[]) => machine.run(login, command);
	const again = () => ask('sudo', 'systemctl', 'restart', '--no-block', 'bringup');
	await ask('sudo', 'cp', '/etc/hostname', '/srv/scratch/one');
	await ask('sudo', 'umount', '/srv/scratch');
	await ask('sudo', 'lvchange', '--activate', 'n', 'vg0/scratch');
	await again();
	await machine.waitFor(/activate vg0, to see what is on vg0\/scratch[\s\S]*?bringup: provision done.*/, 300);
	t.regex(await ask('cat', '/srv/scratch/one'), /node-1/);

	const [array, member] = ['/dev/md/mirror', '/dev/disk/by-partlabel/bringup-right'];
	await ask('sudo', 'mdadm', array, '--fail', member);
	await ask('sudo', 'mdadm', array, '--remove', member);
	await again();
	const [degraded] = await machine.waitFor(/FAILED in phase arrays[\s\S]*?bringup: provision failed/, 300);
	t.regex(degraded, /it runs without right, which was dropped from it[\s\S]*--re-add/);
	await ask('sudo', 'mdadm', array, '--re-add', member);
	await again();
	await machine.waitFor(/bringup: provision done.*/, 300);
}
