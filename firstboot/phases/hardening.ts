import type {Hardening, hardeningSchema} from '../hardening.ts';
import {
	type Command,
	type Phase,
	type Probe,
	planFile,
	planNoFile,
	planNoService,
	planService,
	planServices,
	type Step,
} from '../phase.ts';

/** What breaks neither rootless containers, nor K3s, nor bridges. Reverse paths are loose: a reply may leave by another bridge than the question came by. */
const parameters: Readonly<Record<string, string>> = {
	'fs.protected_fifos': '1',
	'fs.protected_hardlinks': '1',
	'fs.protected_regular': '2',
	'fs.protected_symlinks': '1',
	'kernel.dmesg_restrict': '1',
	'kernel.kptr_restrict': '1',
	'kernel.yama.ptrace_scope': '1',
	...Object.fromEntries(
		['all', 'default'].flatMap(links => [
			[`net.ipv4.conf.${links}.accept_redirects`, '0'],
			[`net.ipv4.conf.${links}.accept_source_route`, '0'],
			[`net.ipv4.conf.${links}.rp_filter`, '2'],
			[`net.ipv4.conf.${links}.send_redirects`, '0'],
			[`net.ipv6.conf.${links}.accept_redirects`, '0'],
		]),
	),
};

const rebootTimer = 'bringup-reboot.timer';

/** The files of this phase alone. */
const paths = {
	updates: '/etc/apt/apt.conf.d/52bringup',
	rebootService: '/etc/systemd/system/bringup-reboot.service',
	rebootTimer: `/etc/systemd/system/${rebootTimer}`,
	fail2ban: '/etc/fail2ban/jail.d/bringup.local',
	sysctl: '/etc/sysctl.d/60-bringup.conf',
	coredump: '/etc/systemd/coredump.conf.d/10-bringup.conf',
	journal: '/etc/systemd/journald.conf.d/10-bringup.conf',
} as const;

/**
 * A file that a service reads when it starts. A note in /run stands while the service has not read it: a cut between
 * the file and the restart leaves the note, and a boot makes an end of both.
 */
async function planReread(probe: Probe, path: string, content: string | undefined, restart: Command): Promise<Step[]> {
	const note = `/run/bringup/unread-${path.split('/').slice(2, -1).join('-')}`;
	if ((await probe.read(path)) === content && (await probe.read(note)) === undefined) return [];
	return [
		{do: 'write', path: note, content: '', mode: 0o644, why: `note that ${path} is not read yet`},
		content === undefined
			? {do: 'run', command: ['rm', '--force', path], why: `remove ${path}`}
			: {do: 'write', path, content, mode: 0o644, why: `write ${path}`},
		{do: 'run', command: restart, why: 'have it read'},
		{do: 'run', command: ['rm', note], why: 'note that it is read'},
	];
}

async function planUpdates({updates}: Hardening, probe: Probe): Promise<Step[]> {
	const origin = (archive: string) => `\t"origin=Debian,codename=\${distro_codename}${archive},label=Debian-Security";`;
	const content = [
		`APT::Periodic::Update-Package-Lists "${updates.enabled ? 1 : 0}";`,
		`APT::Periodic::Unattended-Upgrade "${updates.enabled ? 1 : 0}";`,
		'#clear Unattended-Upgrade::Origins-Pattern;',
		'Unattended-Upgrade::Origins-Pattern {',
		...['', '-security'].map(origin),
		'};',
		`Unattended-Upgrade::Automatic-Reboot "false"; // ${rebootTimer} does it`,
		'',
	].join('\n');
	const why = updates.enabled ? 'have security updates installed every day' : 'have no updates installed by themselves';
	const timers = updates.enabled ? ['apt-daily.timer', 'apt-daily-upgrade.timer'] : [];
	return [
		...(await planFile(probe, paths.updates, content, why)),
		...(await planServices(probe, timers, `start ${timers.join(', ')}`)),
	];
}

/** Minutes from the begin of the window to its end, over midnight too. */
function measure(window: string): number {
	const [from = 0, to = 0] = window.split('-').map(time => Number(time.slice(0, 2)) * 60 + Number(time.slice(3)));
	return (to - from + 24 * 60) % (24 * 60);
}

const reload: Step = {do: 'run', command: ['systemctl', 'daemon-reload'], why: 'let systemd read its files again'};

async function planNoReboot(probe: Probe): Promise<Step[]> {
	const files = [
		...(await planNoFile(probe, paths.rebootService, 'remove how it reboots')),
		...(await planNoFile(probe, paths.rebootTimer, 'remove when it reboots')),
	];
	if (files.length === 0) return [];
	return [...(await planNoService(probe, rebootTimer, 'have no reboot by itself')), ...files, reload];
}

async function planReboot({updates}: Hardening, probe: Probe): Promise<Step[]> {
	if (updates.reboot === 'never') return planNoReboot(probe);
	const {window, days} = updates.reboot;
	const service = `[Unit]
Description=Reboot where an update asks for it
ConditionPathExists=/run/reboot-required
After=apt-daily-upgrade.service

[Service]
Type=oneshot
ExecStart=/usr/bin/systemctl --no-block reboot
`;
	// A window that was missed waits for the next one: the timer is not persistent.
	const timer = `[Unit]
Description=Reboot where an update asks for it

[Timer]
OnCalendar=${days ? `${days.join(',')} ` : ''}*-*-* ${window.slice(0, 5)}:00
RandomizedDelaySec=${measure(window)}min
FixedRandomDelay=yes

[Install]
WantedBy=timers.target
`;
	const files = [
		...(await planFile(probe, paths.rebootService, service, 'write how it reboots')),
		...(await planFile(probe, paths.rebootTimer, timer, `write when it reboots: ${window}`)),
	];
	const restart: Step = {do: 'run', command: ['systemctl', 'restart', rebootTimer], why: 'let the timer take it'};
	const start = await planService(probe, rebootTimer, `start ${rebootTimer}`);
	return [
		...files,
		...(files.length > 0 ? [reload] : []),
		...start,
		...(files.length > 0 && start.length === 0 ? [restart] : []),
	];
}

/** The port is a number, because the image may have no /etc/services; the journal, because there is no auth.log. */
async function planFail2ban({fail2ban}: Hardening, probe: Probe): Promise<Step[]> {
	const name = 'fail2ban.service';
	if (!fail2ban)
		return [
			...(await planNoService(probe, name, `stop ${name}`)),
			...(await planNoFile(probe, paths.fail2ban, 'remove what it guards')),
		];
	const content = `[DEFAULT]
banaction = nftables
banaction_allports = nftables[type=allports]

[sshd]
enabled = true
backend = systemd
journalmatch = _SYSTEMD_UNIT=ssh.service + _COMM=sshd + _COMM=sshd-session
port = 22
`;
	const file = await planReread(probe, paths.fail2ban, content, ['systemctl', 'restart', name]);
	return [...file, ...(await planService(probe, name, `start ${name}`))];
}

/** sysctl.d(5): after a first dot, dots and slashes change places. */
const procPath = (key: string) => `/proc/sys/${key.replace(/[./]/g, mark => (mark === '.' ? '/' : '.'))}`;
const normalize = (value: string | number) => String(value).trim().replace(/\s+/g, ' ');

/** Where crashed programs' memory goes: nowhere, or to systemd-coredump as its own package says. */
async function readCoredump({coredump}: Hardening, probe: Probe): Promise<Record<string, string>> {
	if (!coredump) return {'fs.suid_dumpable': '0', 'kernel.core_pattern': '|/bin/false'};
	const path = '/usr/lib/sysctl.d/50-coredump.conf';
	const text = await probe.read(path);
	if (text === undefined) throw new Error(`${path} of systemd-coredump is missing; build the medium again`);
	const lines = [...text.matchAll(/^([a-z][\w.]*) *= *(.*)$/gm)];
	return Object.fromEntries(lines.map(([, key = '', value = '']) => [key, value]));
}

async function planSysctl(config: Hardening, probe: Probe): Promise<Step[]> {
	const all = {...parameters, ...(await readCoredump(config, probe)), ...config.sysctl};
	const found = await Promise.all(
		Object.keys(all)
			.sort()
			.map(async key => ({key, wanted: normalize(all[key] ?? ''), current: await probe.read(procPath(key))})),
	);
	// Of ours, what a kernel does not have is not missed; of the profile's, sysctl fails and names it.
	const known = found.filter(({key, current}) => current !== undefined || Object.hasOwn(config.sysctl, key));
	const path = paths.sysctl;
	const content = known.map(({key, wanted}) => `${key} = ${wanted}\n`).join('');
	const file = await planFile(probe, path, content, 'write the kernel parameters');
	const differ = known.filter(({wanted, current}) => current === undefined || normalize(current) !== wanted);
	if (differ.length === 0) return file;
	const why = `set kernel parameters (hardening.sysctl): ${differ.map(({key}) => key).join(', ')}`;
	return [...file, {do: 'run', command: ['sysctl', '--quiet', `--load=${path}`], why}];
}

async function planCoredump({coredump}: Hardening, probe: Probe): Promise<Step[]> {
	if (!coredump) return planNoFile(probe, paths.coredump, 'keep no core dumps');
	const content = `[Coredump]\nStorage=external\nMaxUse=${coredump.maxSize}\n`;
	return planFile(probe, paths.coredump, content, 'keep core dumps, up to a limit');
}

const restartJournal: Command = ['systemctl', 'restart', 'systemd-journald.service'];

/** Persistent is what has a folder of the machine's identifier. */
async function planJournal({journal}: Hardening, probe: Probe): Promise<Step[]> {
	const {maxSize, maxAge} = journal;
	const age = maxAge ? `MaxRetentionSec=${maxAge}\n` : '';
	const content = `[Journal]\nStorage=persistent\nSystemMaxUse=${maxSize}\n${age}`;
	const file = await planReread(probe, paths.journal, content, restartJournal);
	const id = (await probe.read('/etc/machine-id'))?.trim() ?? '';
	if ((await probe.list('/var/log/journal'))?.has(id)) return file;
	return [...file, {do: 'run', command: ['journalctl', '--flush'], why: 'move the journal to the disk'}];
}

/** Updates, kernel parameters, and what shuts others out. */
export const hardening: Phase<typeof hardeningSchema> = {
	packages: [
		...['unattended-upgrades', 'fail2ban', 'python3-systemd', 'nftables', 'procps', 'systemd-timesyncd'],
		...['systemd-coredump', 'systemd', 'coreutils', 'findutils'],
	],
	async plan(config, probe) {
		return [
			...(await planSysctl(config, probe)),
			...(await planCoredump(config, probe)),
			...(await planJournal(config, probe)),
			...(await planService(probe, 'systemd-timesyncd.service', 'keep the clock right')),
			...(await planFail2ban(config, probe)),
			...(await planUpdates(config, probe)),
			...(await planReboot(config, probe)),
		];
	},
	/** What a program reads only when it starts stays in force until it does: kernel parameters until the next boot. */
	async absent(probe) {
		const guards = (await probe.read(paths.fail2ban)) !== undefined;
		return [
			...(await planNoReboot(probe)),
			...(guards ? await planNoService(probe, 'fail2ban.service', 'stop fail2ban.service') : []),
			...(await planNoFile(probe, paths.fail2ban, 'remove what it guards')),
			...(await planNoFile(probe, paths.updates, "leave updates to Debian's own settings")),
			...(await planNoFile(probe, paths.sysctl, "leave kernel parameters to Debian's own from the next boot on")),
			...(await planNoFile(probe, paths.coredump, 'keep no core dumps')),
			...(await planReread(probe, paths.journal, undefined, restartJournal)),
		];
	},
};
