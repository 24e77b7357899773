import type {ExecutionContext} from 'ava';
import type {Machine} from '../builder/boot/machine.ts';

/** What the machine says to a command, by whoever logs in. */
type Ask = (...command: string[]) => Promise<string>;

/** Changes one place of the machine's profile and has it taken. */
export async function change(ask: Ask, from: string, to: string): Promise<void> {
	await ask('sudo', 'sed', '--in-place', `0,/${from}/s|${from}|${to}|`, '/etc/bringup/machine.json');
	await ask('sudo', 'systemctl', 'restart', '--no-block', 'bringup');
}

/** Changes that shut everybody out come back by themselves; one that a person proves stays. */
export async function assertLockedOut(t: ExecutionContext, machine: Machine, ask: Ask): Promise<void> {
	const profile = '/etc/bringup/machine.json';
	await ask('sudo', 'cp', profile, '/root/machine.json');
	// As wide as a network, and so no fault where a lease says the subnet; nobody who is there is in it.
	await change(ask, '"to": "machine",', '"to": "machine", "sources": ["10.9.0.0/16"],');
	await machine.waitFor(/wait for a new SSH login from anybody/, 200);
	await t.throwsAsync(ask('true'), undefined, 'the new rules are in force');
	const [nobody] = await machine.waitFor(/bringup: give the change up: (.*)/, 400);
	t.regex(nobody, /nobody has logged in over SSH/);
	await machine.waitFor(/bringup: end the trial/, 60);
	t.notRegex(await ask('sudo', 'nft', 'list', 'table', 'inet', 'bringup'), /10\.9\.0\.0/);
	await ask('sudo', 'systemctl', 'restart', '--no-block', 'bringup');
	await machine.waitFor(/this firewall was tried at .* and taken back/, 300);
	await machine.waitFor(/bringup: provision failed.*/, 300);
	t.regex(
		await ask('cat', '/run/bringup/status.json'), // `bringup status` ends as the run did
		/"name": "kubernetes",\s+"state": "(unchanged|done)"/,
		'the rest goes on',
	);

	await ask('sudo', 'cp', '/root/machine.json', profile);
	const stranger = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEgcppmhmnOuvEPs/uZFLWyxgq4z5jb03cyQg9Iyc7jY';
	await ask('sudo', 'sed', '--in-place', `0,/ssh-ed25519/s|ssh-ed25519 [^" ]*|${stranger}|`, profile);
	await ask('sudo', 'systemctl', 'restart', '--no-block', 'bringup');
	await machine.waitFor(/phase identity .* wait for a new SSH login from anybody/, 200);
	await t.throwsAsync(ask('true'), undefined, 'the new keys are in force');
	await machine.waitFor(/bringup: give the change up: nobody has logged in/, 400);
	await machine.waitFor(/bringup: end the trial/, 60);

	await ask('sudo', 'cp', '/root/machine.json', profile);
	await ask(
		'sudo',
		'sed',
		'--in-place',
		'0,/ssh-ed25519/s|\\(ssh-ed25519 [^" ]*\\)[^"]*|\\1 another-comment|',
		profile,
	);
	await ask('sudo', 'systemd-run', '--quiet', 'bringup', 'provision', '--prove-from', '10.0.2.2');
	await machine.waitFor(/wait for a new SSH login from 10\.0\.2\.2/, 200);
	await ask('true');
	await machine.waitFor(/bringup: provision done.*/, 300);
	t.regex(await ask('cat', '/etc/ssh/authorized_keys.d/admin'), /another-comment$/m, 'a person proved it');
}
