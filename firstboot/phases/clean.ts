import {target} from '../disks.ts';
import {type imageSchema, logs, traces} from '../golden.ts';
import {planFinished} from '../layout.ts';
import {type Phase, type Probe, planFile, type Step} from '../phase.ts';

const places = ['/etc', '/var', '/tmp', '/root', '/home'];

function listTraces(root: string): [string, ...string[]] {
	const path = (pattern: string) => ['-path', `${root}${pattern}`];
	const any = (patterns: readonly string[]) => patterns.flatMap(pattern => [...path(pattern), '-o']).slice(0, -1);
	const found = ['(', ...any(traces), '-o', '(', ...any(logs), '-type', 'f', ')', ')'];
	return ['find', ...places.map(place => `${root}${place}`), '-xdev', ...found, '-prune', '-print'];
}

async function planClean(root: string, probe: Probe): Promise<Step[]> {
	const found = (await probe.output(listTraces(root))).split('\n').filter(Boolean).sort();
	const remove: Step[] = found.map(path => ({
		do: 'run',
		command: ['rm', '--recursive', '--force', path],
		why: `remove ${path.slice(root.length)}`,
	}));
	// Empty, and not missing: each clone makes its own, and systemd does not take its first boot for that of a new system (machine-id(5)).
	const id = await planFile(probe, `${root}/etc/machine-id`, '', 'leave the identifier to each clone');
	const steps = [...remove, ...id, ...(await planFinished(root || '/', probe))];
	if (steps.length === 0) return [];
	return [...steps, {do: 'run', command: ['fstrim', root || '/'], why: 'give back the space that nothing takes'}];
}

/** Takes from a system what its clones must not share. Seals the one that the medium has put together, before it ever booted. */
export const cleanTarget: Phase<typeof imageSchema> = {
	packages: [
		...['cloud-init', 'cloud-guest-utils', 'qemu-guest-agent', 'systemd-resolved', 'systemd-timesyncd'],
		...['findutils', 'coreutils', 'util-linux'],
	],
	plan: (_config, probe) => planClean(target, probe),
};

/** The same of the system that runs. */
export const clean: Phase<typeof imageSchema> = {
	packages: [],
	plan: (_config, probe) => planClean('', probe),
};
