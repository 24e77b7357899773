import {assetsFolder} from '../assets.ts';
import {chooseDisk} from '../choice.ts';
import {readSignatures} from '../contents.ts';
import {endedPath, type installSchema, target} from '../disks.ts';
import {partitionPath, partitions, readLayout} from '../layout.ts';
import {type Command, type Phase, type Probe, readMounts, type Step} from '../phase.ts';

/** What the initramfs of the installer brings. */
const archive = '/usr/lib/bringup/profile.tar';
const assetList = '/usr/lib/bringup/assets.txt';
const hook = '/root/9000-bringup.hook.chroot';

/** Below /etc. Some the installer removes itself, after this: a power cut between the two would leave them for ever. */
const leftovers = [
	...[
		'00AllowUnauthenticated',
		'00CDMountPoint',
		'00IgnoreTimeConflict',
		'00InstallRecommends',
		'00bringup-medium',
		'00trustcdrom',
	].map(name => `apt/apt.conf.d/${name}`),
	'dpkg/dpkg.cfg.d/force-unsafe-io',
	// Words of the kernel's command line, taken for options of modules: one is the token of a report.
	'modprobe.d/local.conf',
];

/** Where the installer's packages come from, and the assets beside them. */
const sourcePath = '/run/bringup/source';

async function planAssets(probe: Probe): Promise<Step[]> {
	const [source = '', list = ''] = await Promise.all([probe.read(sourcePath), probe.read(assetList)]);
	return list
		.split('\n')
		.filter(Boolean)
		.map(sha256 => ({
			do: 'fetch',
			url: `${source.trim()}/assets/${sha256}`,
			sha256,
			path: `${target}${assetsFolder}/${sha256}`,
			mode: 0o644,
			why: `take the asset ${sha256.slice(0, 12)} from the medium`,
		}));
}

/** In debian-installer, when the packages are there: makes the system what the image of the other road is. */
export const deliver: Phase<typeof installSchema> = {
	packages: ['tar', 'coreutils', 'util-linux'],
	async plan(config, probe) {
		const disk = await chooseDisk(config, probe);
		const {buildId} = await readLayout(probe, disk);
		const root = partitionPath(disk, partitions.root);
		const uuid = (await readSignatures(probe, root)).find(({uuid}) => uuid)?.uuid;
		if (!uuid) throw new Error(`debian-installer has made no file system on ${root}; its log says why`);
		const esp = `${target}/boot/efi`;
		if (!(await readMounts(probe)).includes(esp))
			throw new Error(`debian-installer has not mounted the EFI partition at ${esp}; its log says why`);
		const chain = `${esp}/bringup/installed-${buildId}`; // read by GRUB on the medium
		const content = `set bringup_root=${uuid}\n`;
		if ((await probe.read(chain)) === content) return [];
		const unpack: Command = ['tar', '--extract', '--same-permissions', '--file', archive, '--directory', target];
		return [
			{do: 'run', command: ['mkdir', '--parents', `${target}/var/lib/bringup`], why: 'make the folder of its records'},
			{do: 'run', command: unpack, why: "put the profile's files in place"},
			{
				do: 'run',
				command: ['cp', '/etc/bringup/machine.json', `${target}/etc/bringup/`],
				why: 'put machine.json in place, as the server gave it to this machine',
			},
			...(await planAssets(probe)),
			{do: 'run', command: ['chroot', target, '/bin/sh', hook], why: 'run the hook of the image'},
			{
				do: 'run',
				command: ['rm', '--force', `${target}${hook}`, ...leftovers.map(path => `${target}/etc/${path}`)],
				why: "remove it, and the installer's own settings of apt and dpkg",
			},
			{do: 'run', command: ['chroot', target, 'update-grub'], why: 'write the boot menu'},
			{
				do: 'run',
				command: ['cp', endedPath, `${target}/var/lib/bringup/install.json`],
				why: 'keep the record of this install',
			},
			{do: 'run', command: ['sync'], why: 'make everything durable'},
			{do: 'write', path: chain, content, mode: 0o644, why: 'tell the medium that this disk is installed'},
		];
	},
};
