import type {Layout} from './layout.ts';
import type {Probe, Step} from './phase.ts';

/** Whether the machine was started by UEFI. */
export async function isUefi(probe: Probe): Promise<boolean> {
	return (await probe.output(['ls', '/sys/firmware'])).split('\n').includes('efi');
}

/** The numbers of the firmware's boot entries that start from this install's ESP, as efibootmgr(8) takes them. */
export async function findBootEntries({espPartUuid}: Layout, probe: Probe): Promise<string[]> {
	const text = await probe.output(['efibootmgr', '--verbose']);
	const entries = [...text.matchAll(/^Boot([0-9A-F]{4})\*? (.*)$/gim)];
	return entries.flatMap(([, number = '', rest = '']) =>
		rest.toLowerCase().includes(`gpt,${espPartUuid},`) ? [number] : [],
	);
}

/** Below the ESP. While it is there, the firmware was told to boot the disk next, and the disk has not booted since. */
export const askedFile = 'bringup/asked';

/** Has the firmware boot the installed disk next, whatever its boot order. Empty under BIOS, which has no such wish. */
export async function planBootNext(esp: string, layout: Layout, probe: Probe): Promise<Step[]> {
	if (!(await isUefi(probe))) return [];
	const [entry] = await findBootEntries(layout, probe);
	if (entry === undefined) return [];
	const path = `${esp}/${askedFile}`;
	return [
		{do: 'write', path, content: '', mode: 0o644, why: 'record that the firmware was told to boot the disk'},
		{
			do: 'run',
			command: ['efibootmgr', '--quiet', '--bootnext', entry],
			why: 'tell the firmware to boot the disk next',
		},
	];
}
