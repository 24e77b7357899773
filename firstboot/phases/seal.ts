import {askedFile} from '../boot-entries.ts';
import {installSchema} from '../disks.ts';
import {planFinished} from '../layout.ts';
import type {Phase, Probe, Step} from '../phase.ts';

const esp = '/boot/efi';

/** The disk has booted: the medium may tell the firmware again. */
async function planAnswered(probe: Probe): Promise<Step[]> {
	const [folder = '', name = ''] = askedFile.split('/');
	if (!(await probe.list(`${esp}/${folder}`))?.has(name)) return [];
	return [
		{do: 'run', command: ['rm', `${esp}/${askedFile}`], why: 'record that the firmware has booted the disk'},
		{do: 'run', command: ['sync', '--file-system', esp], why: 'make it durable'},
	];
}

/** The system has booted from the disk: from now on the disk holds somebody's data, and no medium takes it for an unfinished install. */
export const seal: Phase<typeof installSchema> = {
	schema: installSchema,
	packages: ['coreutils', 'util-linux'],
	plan: async (_config, probe) => [...(await planFinished('/', probe)), ...(await planAnswered(probe))],
};
