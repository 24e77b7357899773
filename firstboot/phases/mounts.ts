import {type Phase, type Probe, planFile, planService, type Step} from '../phase.ts';
import {type FileSystem, storageSchema} from '../volumes.ts';

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

async function planScrub(mounts: readonly string[], probe: Probe): Promise<{files: Step[]; services: Step[]}> {
	if (mounts.length === 0) return {files: [], services: []};
	const timers = mounts.map(mount => `bringup-scrub@${escapePath(mount)}.timer`);
	return {
		files: [
			...(await planFile(probe, `${unitFolder}/bringup-scrub@.service`, scrubService, 'write the unit that scrubs')),
			...(await planFile(probe, `${unitFolder}/bringup-scrub@.timer`, scrubTimer, 'write its timer')),
		],
		services: (await Promise.all(timers.map(timer => planService(probe, timer, `start ${timer}`)))).flat(),
	};
}

/** Mounts the file systems of the data disks, now and at every boot, and has btrfs scrubbed each month. */
export const mounts: Phase<typeof storageSchema> = {
	schema: storageSchema,
	packages: ['systemd', 'mount', 'btrfs-progs'],
	async plan({filesystems}, probe) {
		const files: Step[] = [];
		const services: Step[] = [];
		for (const [name, system] of Object.entries(filesystems)) {
			const unit = `${escapePath(system.mount)}.mount`;
			files.push(...(await planFile(probe, `${unitFolder}/${unit}`, formatMount(name, system), `write ${unit}`)));
			services.push(...(await planService(probe, unit, `mount ${name} at ${system.mount}`)));
		}
		const btrfs = Object.values(filesystems).filter(({type}) => type === 'btrfs');
		const scrub = await planScrub(
			btrfs.map(({mount}) => mount),
			probe,
		);
		const written = [...files, ...scrub.files];
		const reload: Step = {do: 'run', command: ['systemctl', 'daemon-reload'], why: 'let systemd read its files again'};
		return [...written, ...(written.length > 0 ? [reload] : []), ...services, ...scrub.services];
	},
};
