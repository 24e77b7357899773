import type {installSchema} from '../disks.ts';
import {planFinished} from '../layout.ts';
import type {Phase} from '../phase.ts';

/** The system has booted from the disk: from now on the disk holds somebody's data, and no medium takes it for an unfinished install. */
export const seal: Phase<typeof installSchema> = {
	packages: ['coreutils', 'util-linux'],
	plan: (_config, probe) => planFinished('/', probe),
};
