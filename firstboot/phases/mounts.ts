import {type Phase, planFile, planServices, type Step} from '../phase.ts';
import type {FileSystem, storageSchema} from '../volumes.ts';

const unitFolder = '/etc/systemd/system';

/** A path as a unit is named after it (systemd-escape --path). */
export function escapePath(path: string): string {
	return path
		.replace(/^\/+/, '')
		.replace(/[^A-Za-z0-9:_./]|^\./g, char => `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`)
		.replaceAll('/', '-');
}

function formatMount(name: string, {type, mount, options}: FileSystem): string {
	return [
		'[Unit]',
		`Description=File system ${name}`,
		'',
		'[Mount]',
		`What=/dev/disk/by-label/${name}`,
		`Where=${mount}`,
		`Type=${type}`,
		`Options=${['defaults', ...options].join(',')}`,
		'',
		// Wanted, not required: without this disk the machine comes up all the same.
		'[Install]',
		'WantedBy=local-fs.target',
		'',
	].join('\n');
}

const scrubService = `[Unit]
Description=Read all of %f and mend what btrfs can
ConditionPathIsMountPoint=%f

[Service]
Type=oneshot
ExecStart=/usr/bin/btrfs scrub start -B %f
IOSchedulingClass=idle
Nice=19
`;

const scrubTimer = `[Unit]
Description=Scrub %f each month

[Timer]
OnCalendar=monthly
RandomizedDelaySec=1d
Persistent=true

[Install]
WantedBy=timers.target
`;

/** Mounts the file systems of the data disks, now and at every boot, and has btrfs scrubbed each month. */
export const mounts: Phase<typeof storageSchema> = {
	packages: ['systemd', 'mount', 'btrfs-progs'],
	async plan({filesystems}, probe) {
		const files: Step[] = [];
		for (const [name, system] of Object.entries(filesystems)) {
			const unit = `${escapePath(system.mount)}.mount`;
			files.push(...(await planFile(probe, `${unitFolder}/${unit}`, formatMount(name, system), `write ${unit}`)));
		}
		const all = Object.values(filesystems);
		const btrfs = all.filter(({type}) => type === 'btrfs');
		if (btrfs.length > 0) {
			const [service, timer] = [`${unitFolder}/bringup-scrub@.service`, `${unitFolder}/bringup-scrub@.timer`];
			files.push(...(await planFile(probe, service, scrubService, 'write the unit that scrubs')));
			files.push(...(await planFile(probe, timer, scrubTimer, 'write its timer')));
		}
		const reload: Step = {do: 'run', command: ['systemctl', 'daemon-reload'], why: 'let systemd read its files again'};
		const units = [
			...all.map(({mount}) => `${escapePath(mount)}.mount`),
			...btrfs.map(({mount}) => `bringup-scrub@${escapePath(mount)}.timer`),
		];
		const names = all.map(({mount}) => mount).join(', ');
		return [
			...files,
			...(files.length > 0 ? [reload] : []),
			...(await planServices(probe, units, `mount ${names}, and have btrfs scrubbed`)),
		];
	},
};
