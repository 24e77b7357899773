import type {ExecutionContext} from 'ava';

/** What the section hardening does on a machine: updates, bans, and that nothing secret can be read by others. */
export async function assertHardened(
	t: ExecutionContext,
	ask: (...command: string[]) => Promise<string>,
): Promise<void> {
	t.is((await ask('stat', '--format=%a', '/etc/bringup/machine.json')).trim(), '600');
	t.regex(await ask('bringup', 'status'), /^bringup: provision done/); // whoever asks
	t.is((await ask('sudo', 'stat', '--format=%a', '/var/lib/bringup/users.json')).trim(), '600');

	const allowed = await ask('sudo', 'unattended-upgrade', '--dry-run', '--debug');
	t.regex(allowed, /Allowed origins are: .*label=Debian-Security/);
	t.notRegex(allowed, /label=Debian[,']/);
	t.regex(await ask('sudo', 'debconf-show', 'grub-efi-amd64'), /force_efi_extra_removable: true/);

	await ask('sudo', 'fail2ban-client', 'set', 'sshd', 'banip', '203.0.113.66');
	t.regex(await ask('sudo', 'nft', 'list', 'ruleset'), /table inet f2b-table [\s\S]*203\.0\.113\.66/);
	await ask('sudo', 'fail2ban-client', 'set', 'sshd', 'unbanip', '203.0.113.66');
	t.notRegex(await ask('sudo', 'nft', 'list', 'ruleset'), /203\.0\.113\.66/);

	// Without an update that asks for it, the window passes.
	await ask('sudo', 'systemctl', 'start', 'bringup-reboot.service');
	t.is((await ask('systemctl', 'show', '-P', 'ConditionResult', 'bringup-reboot.service')).trim(), 'no');

	t.regex(await ask('sudo', 'getent', 'shadow', 'recovery'), /^recovery:\$/);
	t.regex(await ask('sudo', '-u', 'recovery', 'sudo', '-n', 'id', '-u'), /^0$/m);
	t.regex(await ask('sudo', 'sshd', '-T', '-C', 'user=recovery,host=x,addr=192.0.2.1'), /^denyusers recovery$/m);
}
