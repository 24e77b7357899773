import type * as z from 'zod';
import {shutsOut} from '../administrators.ts';
import {planHostKeys} from '../host-keys.ts';
import {resolveHostname} from '../names.ts';
import {GivenUp, type Phase, type Probe, planFile, planService, readMounts, type Step} from '../phase.ts';
import {planTrial} from '../trial.ts';
import {type identitySchema, planUsers} from '../users.ts';

type Identity = z.output<typeof identitySchema>;

async function planHostname(pattern: string | undefined, probe: Probe): Promise<Step[]> {
	if (pattern === undefined) return []; // a clone's name is its seed's
	const name = await resolveHostname(pattern, probe);
	const steps = await planFile(probe, '/etc/hostname', `${name}\n`, `name the machine ${name}`);
	if ((await probe.read('/proc/sys/kernel/hostname'))?.trim() !== name) {
		steps.push({do: 'run', command: ['hostname', name], why: `tell the kernel the name ${name}`});
	}
	return steps;
}

/** systemd makes an identifier at boot when the file is empty, in memory until the disk is writable. */
async function planMachineId(probe: Probe): Promise<Step[]> {
	const id = (await probe.read('/etc/machine-id'))?.trim() ?? '';
	if (!/^[0-9a-f]{32}$/.test(id))
		return [{do: 'run', command: ['systemd-machine-id-setup'], why: 'give the machine its identifier'}];
	if (!(await readMounts(probe)).includes('/etc/machine-id')) return [];
	return [
		{do: 'run', command: ['systemd-machine-id-setup', '--commit'], why: "write the machine's identifier to disk"},
	];
}

async function planTimezone(timezone: string, probe: Probe): Promise<Step[]> {
	const zone = `/usr/share/zoneinfo/${timezone}`;
	if ((await probe.list('/etc'))?.get('localtime')?.target === zone) return [];
	return [
		{
			do: 'run',
			command: ['ln', '--symbolic', '--force', '--no-dereference', zone, '/etc/localtime'],
			why: `set the time zone ${timezone}`,
		},
	];
}

/** Who may log in is on trial: a wrong key, or sudo that is gone, shuts everybody out. */
async function planTrialOfUsers({users}: Identity, probe: Probe): Promise<Step[]> {
	const steps = await planUsers(users, probe);
	if (steps.length === 0) return [];
	return planTrial(probe, {subject: 'identity', content: users, shutsOut: () => shutsOut(users, probe), steps});
}

/** Name, identifier, host keys, users, locale, time zone. */
export const identity: Phase<typeof identitySchema> = {
	packages: [
		'openssh-server',
		'sudo',
		'tzdata',
		'locales',
		'hostname',
		'libnss-myhostname',
		'libpam-modules-bin',
		'systemd',
		'passwd',
	],
	async plan(config, probe) {
		const rest = [
			...(await planHostname(config.hostname, probe)),
			...(await planMachineId(probe)),
			...(await planFile(probe, '/etc/default/locale', `LANG=${config.locale}\n`, `set the locale ${config.locale}`)),
			...(await planTimezone(config.timezone, probe)),
			...(await planHostKeys(probe)),
			...(await planService(probe, 'ssh.service', 'start the SSH server')),
		];
		// Users that were taken back keep nothing else from being done.
		const users = await planTrialOfUsers(config, probe).catch(error => {
			if (error instanceof GivenUp && rest.length > 0) return [];
			throw error;
		});
		const steps = [...users, ...rest];
		if (steps.length === 0) return [];
		return [...steps, {do: 'run', command: ['sync', '--file-system', '/etc'], why: 'make it durable'}];
	},
};
