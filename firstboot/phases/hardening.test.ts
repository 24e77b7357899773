import test from 'ava';
import {hardeningSchema} from '../hardening.ts';
import {listEnabled, listUnits, type Step} from '../phase.ts';
import {probeRecord, type RecordedMachine} from '../record.ts';
import {hardening} from './hardening.ts';

const [units, enabled] = [listUnits.join(' '), listEnabled.join(' ')];
const journals = '/var/log/journal/';
const id = '0123456789abcdef0123456789abcdef';

/** What systemctl and find say of units that run and start at boot, in the form of Debian 13. */
const states = {
	[units]: [
		'fail2ban.service loaded inactive dead Fail2Ban Service',
		'systemd-timesyncd.service loaded active running Network Time Synchronization',
		'apt-daily-upgrade.timer loaded active waiting Daily apt upgrade and clean activities',
		'apt-daily.timer loaded active waiting Daily apt download activities',
		'',
	].join('\n'),
	[enabled]: 'systemd-timesyncd.service\napt-daily.timer\napt-daily-upgrade.timer\n',
};

const kernel: Record<string, string> = {
	'/proc/sys/kernel/core_pattern': 'core\n',
	'/proc/sys/kernel/kptr_restrict': '0\n',
	'/proc/sys/net/ipv4/conf/all/rp_filter': '0\n',
	'/proc/sys/net/ipv4/conf/br0.20/rp_filter': '1\n',
	'/proc/sys/net/ipv4/tcp_rmem': '4096\t131072\t6291456\n',
};

const blank: RecordedMachine = {
	commands: states,
	files: {
		[journals]: `${id}\td\n`,
		...kernel,
		'/etc/machine-id': `${id}\n`,
	},
};

/** The machine after the steps; of the programs, what the tests need of their effect. */
function perform(machine: RecordedMachine, steps: readonly Step[]): RecordedMachine {
	const files = {...machine.files};
	const commands = {...machine.commands};
	for (const step of steps) {
		if (step.do === 'write') files[step.path] = step.content;
		if (step.do !== 'run') continue;
		const [program, ...args] = step.command;
		const last = args.at(-1) ?? '';
		if (program === 'rm') delete files[last];
		if (program === 'systemctl' && args[0] === 'enable') {
			const others = String(commands[units])
				.split('\n')
				.filter(line => !line.startsWith(`${last} `));
			commands[units] = [`${last} loaded active running`, ...others].join('\n');
			commands[enabled] = `${last}\n${commands[enabled]}`;
		}
		if (program === 'systemctl' && args[0] === 'disable') {
			commands[units] = String(commands[units]).replace(
				`${last} loaded active running`,
				`${last} loaded inactive dead`,
			);
			commands[enabled] = String(commands[enabled]).replace(`${last}\n`, '');
		}
		if (program === 'sysctl') {
			for (const line of files['/etc/sysctl.d/60-bringup.conf']?.trim().split('\n') ?? []) {
				const [key = '', value] = line.split(' = ');
				files[`/proc/sys/${key.replace(/[./]/g, mark => (mark === '.' ? '/' : '.'))}`] = `${value}\n`;
			}
		}
	}
	return {commands, files};
}

const planFor = (given: object, machine: RecordedMachine) =>
	hardening.plan(hardeningSchema.parse(given), probeRecord(machine));
const whys = (steps: readonly Step[]) => steps.map(({why}) => why);
const written = (steps: readonly Step[], path: string) => {
	const step = steps.find(step => step.do === 'write' && step.path === path);
	return step?.do === 'write' ? step.content : '';
};

const all = {
	updates: {reboot: {window: '23:30-01:00', days: ['Sat', 'Sun']}},
	sysctl: {'net.ipv4.conf.br0/20.rp_filter': 2, 'net.ipv4.tcp_rmem': '4096 131072 8388608'},
	journal: {maxSize: '512M', maxAge: '3month'},
};

test('cut after any step, the next plan ends in the same machine, which needs nothing', async t => {
	const steps = await planFor(all, blank);
	for (let cut = 0; cut <= steps.length; cut++) {
		const found = perform(blank, steps.slice(0, cut));
		const rest = await planFor(all, found);
		const done = perform(found, rest);
		t.deepEqual(whys(await planFor(all, done)), [], `cut after step ${cut}`);
	}
});

test('without the section, or with a part of it switched off, its files and services go, cut after any step too', async t => {
	const full = {...all, coredump: {}};
	const package_ = {'/usr/lib/sysctl.d/50-coredump.conf': 'kernel.core_pattern=|/usr/lib/systemd/systemd-coredump\n'};
	const start = {...blank, files: {...blank.files, ...package_}};
	const made = perform(start, await planFor(full, start));
	const ours = Object.keys(made.files).filter(path => path.startsWith('/etc/') && path !== '/etc/machine-id');
	t.is(ours.length, 7);
	const gone = (machine: RecordedMachine) => hardening.absent?.(probeRecord(machine)) ?? Promise.resolve([]);
	const steps = await gone(made);
	for (let cut = 0; cut <= steps.length; cut++) {
		const found = perform(made, steps.slice(0, cut));
		const done = perform(found, await gone(found));
		t.deepEqual(await gone(done), [], `cut after step ${cut}`);
		t.deepEqual(
			ours.filter(path => path in done.files),
			[],
		);
		t.false(/^(fail2ban\.service|bringup-reboot\.timer) loaded active/m.test(String(done.commands[units])));
		t.regex(String(done.commands[units]), /^apt-daily\.timer loaded active/m);
	}
	t.deepEqual(await gone(blank), []);
	const less = {...all, updates: {}, fail2ban: false};
	const done = perform(made, await planFor(less, made));
	t.deepEqual(whys(await planFor(less, done)), []);
	t.deepEqual(
		ours.filter(path => path in done.files && /reboot|fail2ban|coredump/.test(path)),
		[],
	);
});

test('a service that did not come to read its file is restarted, until it has', async t => {
	const steps = await planFor({}, blank);
	const restart = steps.findIndex(step => step.do === 'run' && step.command.includes('systemd-journald.service'));
	const rest = await planFor({}, perform(blank, steps.slice(0, restart)));
	t.true(rest.some(step => step.do === 'run' && step.command.includes('systemd-journald.service')));
});

test('a kernel parameter is compared by its value, and the dot of a link is a slash', async t => {
	const files = {...blank.files, '/proc/sys/net/ipv4/conf/br0.20/rp_filter': '2\n'};
	const config = {sysctl: {'net.ipv4.conf.br0/20.rp_filter': 2, 'net.ipv4.tcp_rmem': '4096 131072 6291456'}};
	const steps = await planFor(config, {...blank, files});
	t.true(
		whys(steps).includes(
			'set kernel parameters (hardening.sysctl): kernel.core_pattern, kernel.kptr_restrict, net.ipv4.conf.all.rp_filter',
		),
	);
	t.regex(written(steps, '/etc/sysctl.d/60-bringup.conf'), /^net\.ipv4\.conf\.br0\/20\.rp_filter = 2$/m);
});

test('of a kernel without it, a parameter of the profile is named, and one of ours is left out', async t => {
	const steps = await planFor({sysctl: {'net.foo': 1}}, blank);
	t.regex(whys(steps).join('\n'), /hardening\.sysctl\): .*net\.foo/);
	t.notRegex(written(steps, '/etc/sysctl.d/60-bringup.conf'), /yama/);
});

test('updates come from the security archive only, and the machine reboots in its window, which may span midnight', async t => {
	const steps = await planFor(all, blank);
	const origins = written(steps, '/etc/apt/apt.conf.d/52bringup').match(/"origin=.*"/g) ?? [];
	t.is(origins.length, 2);
	t.true(origins.every(origin => origin.endsWith('label=Debian-Security"')));
	const timer = written(steps, '/etc/systemd/system/bringup-reboot.timer');
	t.regex(timer, /OnCalendar=Sat,Sun \*-\*-\* 23:30:00\nRandomizedDelaySec=90min\n/);
	t.is(written(await planFor({}, blank), '/etc/systemd/system/bringup-reboot.timer'), '');
});

test('a timer whose file has changed is read again and restarted; one that nobody wants is stopped', async t => {
	const done = perform(blank, await planFor(all, blank));
	const later = {...all, updates: {reboot: {window: '02:00-03:00'}}};
	t.deepEqual(whys(await planFor(later, done)), [
		'write when it reboots: 02:00-03:00',
		'let systemd read its files again',
		'let the timer take it',
	]);
	const stopped = await planFor({...all, updates: {}}, done);
	t.deepEqual(whys(stopped), [
		'have no reboot by itself',
		'remove how it reboots',
		'remove when it reboots',
		'let systemd read its files again',
	]);
	t.deepEqual(stopped[0]?.do === 'run' ? stopped[0].command.slice(1, 3) : [], ['disable', '--now']);
});

test('a service that runs and would not start at boot is enabled, and one that starts at boot and does not run', async t => {
	const done = perform(blank, await planFor(all, blank));
	const without = (list: string) => ({
		...done,
		commands: {...done.commands, [list]: String(done.commands[list]).replaceAll(/^fail2ban\.service.*\n/gm, '')},
	});
	for (const list of [units, enabled])
		t.deepEqual(whys(await planFor(all, without(list))), ['start fail2ban.service'], list);
	t.deepEqual(whys(await planFor({...all, fail2ban: false}, without(units))), [
		'stop fail2ban.service',
		'remove what it guards',
	]);
});

test('core dumps go nowhere, or where the package of systemd-coredump says', async t => {
	const path = '/etc/sysctl.d/60-bringup.conf';
	t.regex(written(await planFor({}, blank), path), /^kernel\.core_pattern = \|\/bin\/false$/m);
	await t.throwsAsync(planFor({coredump: {}}, blank), {message: /50-coredump\.conf .*build the medium again/});
	const files = {
		...blank.files,
		'/usr/lib/sysctl.d/50-coredump.conf':
			'# see core(5)\nkernel.core_pattern=|/usr/lib/systemd/systemd-coredump %P %u\n',
	};
	const steps = await planFor({coredump: {maxSize: '500M'}}, {...blank, files});
	t.regex(written(steps, path), /^kernel\.core_pattern = \|\/usr\/lib\/systemd\/systemd-coredump %P %u$/m);
	t.regex(written(steps, '/etc/systemd/coredump.conf.d/10-bringup.conf'), /MaxUse=500M/);
});

test('a journal that is in memory is moved to the disk', async t => {
	const done = perform(blank, await planFor({}, blank));
	const volatile = {...done, files: {...done.files, [journals]: ''}};
	t.deepEqual(whys(await planFor({}, volatile)), ['move the journal to the disk']);
});

test('a machine that cannot say what runs is not planned for', async t => {
	for (const list of [units, enabled])
		await t.throwsAsync(planFor({}, {...blank, commands: {...blank.commands, [list]: undefined}}), {
			message: /has no answer to: (systemctl list-units|find \/etc\/systemd)/,
		});
	await t.throwsAsync(planFor({}, {...blank, commands: {}}));
});

test('words that mean nothing are refused', t => {
	const refused = [
		{updates: {reboot: {window: '25:00-26:00'}}},
		{updates: {reboot: {window: '04:00-04:00'}}},
		{sysctl: {'../../etc/passwd': 1}},
		{sysctl: {'kernel.x': 'a\nb = c'}},
		{journal: {maxSize: '1'}},
	];
	for (const given of refused) t.false(hardeningSchema.safeParse(given).success, JSON.stringify(given));
});
