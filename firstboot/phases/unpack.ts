import {chooseDisk} from '../choice.ts';
import {type installSchema, target} from '../disks.ts';
import {type Layout, readLayout} from '../layout.ts';
import type {Phase, Step} from '../phase.ts';

const medium = '/run/live/medium';
const marker = `${target}/var/lib/bringup/unpacked`;

function formatFstab(layout: Layout): string {
	return [
		'# Written by the installer.',
		`UUID=${layout.rootUuid} / ext4 errors=remount-ro 0 1`,
		`PARTUUID=${layout.espPartUuid} /boot/efi vfat umask=0077,nofail 0 2`,
		'',
	].join('\n');
}

/** Unpacks the layers of the medium, lowest first: the installed system is what was booted. */
export const unpack: Phase<typeof installSchema> = {
	packages: ['squashfs-tools', 'coreutils', 'findutils'],
	async plan(config, probe) {
		const layout = await readLayout(probe, await chooseDisk(config, probe));
		if ((await probe.read(marker)) === layout.buildId) return [];
		const found = await probe.output(['find', medium, '-maxdepth', '2', '-name', '*.squashfs']);
		const layers = found.split('\n').filter(Boolean).sort();
		if (layers.length === 0) throw new Error(`there is no layer in ${medium}; the medium is damaged: write it again`);
		const unsquash = layers.map((layer): Step => {
			return {
				do: 'run',
				command: ['unsquashfs', '-force', '-no-progress', '-dest', target, layer],
				why: `unpack ${layer}`,
			};
		});
		return [
			...unsquash,
			{do: 'write', path: `${target}/etc/fstab`, content: formatFstab(layout), mode: 0o644, why: 'write /etc/fstab'},
			{do: 'run', command: ['sync', '--file-system', target], why: 'make it durable'},
			{do: 'write', path: marker, content: layout.buildId, mode: 0o644, why: 'record that the layers are whole'},
		];
	},
};
