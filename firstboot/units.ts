import {assetPath, planAssets} from './assets.ts';
import {listBelow} from './listing.ts';
import {type Probe, planFile, type Step} from './phase.ts';
import {userSystemctl} from './podman.ts';
import {type Changes, type ContainerUser, findAffected, quadletFolder, serviceOf, startsAtBoot} from './quadlet.ts';
import type {Numbered} from './subids.ts';

type Properties = Record<string, string>;

/** What `systemctl show` prints of several units, by unit. */
export function parseProperties(text: string): Map<string, Properties> {
	const blocks = text.split('\n\n').map((block): Properties => {
		const lines = block.split('\n').filter(line => line.includes('='));
		return Object.fromEntries(lines.map(line => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]));
	});
	return new Map(blocks.map(block => [block['Id'] ?? '', block]));
}

const isService = (name: string | undefined): name is string => name !== undefined;

const isRunning = (state: Properties | undefined) =>
	['active', 'activating', 'reloading'].includes(state?.['ActiveState'] ?? '');

/** Whether the service runs, or is about to; or ran to its end since boot, as one of Type=oneshot should. */
function isStarted(state: Properties | undefined): boolean {
	if (isRunning(state) || (state?.['Job'] ?? '') !== '') return true;
	const ran = state?.['ActiveState'] === 'inactive' && state['InactiveExitTimestampMonotonic'] !== '0';
	return ran && state['Type'] === 'oneshot';
}

/** The user's folder of Quadlet files: what the profile wants there, what there is, and what its services do. */
export interface Found {
	units: ReadonlyMap<string, string>;
	/** Steps to each file that is not as it should be, by name. */
	writes: ReadonlyMap<string, Step[]>;
	/** Files that the profile does not name, with the service that each made, if any. */
	stale: ReadonlyMap<string, string | undefined>;
	/** By service; none while the user's manager does not run. */
	states: ReadonlyMap<string, Properties>;
}

async function planEntry(path: string, link: string, given: ContainerUser['files'][string], probe: Probe) {
	if (typeof given !== 'string') {
		const target = assetPath(given);
		if (link === target) return [];
		const command = ['ln', '--symbolic', '--force', '--no-dereference', target, path] as const;
		const folder = ['mkdir', '--parents', path.slice(0, path.lastIndexOf('/'))] as const;
		return [
			...(await planAssets([given], probe)),
			{do: 'run', command: folder, why: 'make the folder of the Quadlet files'} satisfies Step,
			{do: 'run', command, why: `link ${path} to its asset`} satisfies Step,
		];
	}
	if (link === '') return planFile(probe, path, given, `write ${path}`);
	// A write would go through the link, into the asset.
	return [
		{do: 'run', command: ['rm', path], why: `remove the link ${path}`} satisfies Step,
		{do: 'write', path, content: given, mode: 0o644, why: `write ${path}`} satisfies Step,
	];
}

/** Looks at the Quadlet files of a user and at the services that they make. */
export async function findUnits(
	user: Numbered & Pick<ContainerUser, 'files'>,
	units: ReadonlyMap<string, string>,
	running: boolean,
	probe: Probe,
): Promise<Found> {
	const folder = `${quadletFolder}/${user.uid}/`;
	const present = await listBelow(probe, `${quadletFolder}/${user.uid}`, 9);
	const files = [...present].filter(([, {type}]) => type !== 'd');
	const links = new Map(files.map(([path, {target}]) => [path.slice(folder.length), target]));
	const wanted = new Map([...Object.entries(user.files), ...units]);
	const writes = new Map<string, Step[]>();
	for (const [file, given] of wanted) {
		const steps = await planEntry(`${folder}${file}`, links.get(file) ?? '', given, probe);
		if (steps.length > 0) writes.set(file, steps);
	}
	const stale = new Map<string, string | undefined>();
	for (const file of [...links.keys()].filter(file => !wanted.has(file))) {
		stale.set(file, serviceOf(file, (await probe.read(`${folder}${file}`)) ?? ''));
	}
	const services = [...[...units].map(([file, text]) => serviceOf(file, text)), ...stale.values()].filter(isService);
	const properties = 'Id,LoadState,ActiveState,NeedDaemonReload,InactiveExitTimestampMonotonic,Type,Job';
	const show = userSystemctl(user, 'show', `--property=${properties}`, ...services);
	const states = running && services.length > 0 ? parseProperties(await probe.output(show)) : new Map();
	return {units, writes, stale, states};
}

/** The units that are not, or will not be, what the profile says; and so must be started anew. */
export function findOutdated(
	user: Pick<ContainerUser, 'uid' | 'files'>,
	{units, writes, states}: Found,
	changes: Omit<Changes, 'files'>,
): Set<string> {
	const unseen = [...units].filter(([file, text]) => {
		const state = states.get(serviceOf(file, text) ?? '');
		return state?.['NeedDaemonReload'] === 'yes' || state?.['LoadState'] === 'not-found';
	});
	return findAffected(user, units, {...changes, files: [...writes.keys(), ...unseen.map(([file]) => file)]});
}

/** The step that makes the services of these files stand still, or none when they do. */
export function planStop(user: Numbered, {units, states}: Found, files: ReadonlySet<string>): Step[] {
	const services = [...units].filter(([file]) => files.has(file)).map(([file, text]) => serviceOf(file, text));
	const running = services.filter(isService).filter(service => isRunning(states.get(service)));
	if (running.length === 0) return [];
	const why = `stop ${running.join(', ')} of ${user.name}`;
	return [{do: 'run', command: userSystemctl(user, 'stop', ...running), why}];
}

/** The steps to the folder as the profile has it, and to the services that run with it. */
export function planUnits(user: Numbered, found: Found, outdated: ReadonlySet<string>): Step[] {
	const {units, writes, stale, states} = found;
	const steps: Step[] = [];
	const gone = [...stale.values()].filter(isService).filter(service => isRunning(states.get(service)));
	const run = (why: string, ...args: string[]) =>
		steps.push({do: 'run', command: userSystemctl(user, ...args), why: `${why} of ${user.name}`});
	if (gone.length > 0) run(`stop ${gone.join(', ')}, no longer in the profile,`, 'stop', ...gone);
	if (stale.size > 0) {
		const paths = [...stale.keys()].map(file => `${quadletFolder}/${user.uid}/${file}`);
		steps.push({do: 'run', command: ['rm', '--force', ...paths], why: 'remove what the profile no longer has'});
	}
	steps.push(...[...writes.values()].flat());
	const services = [...units].map(([file, text]) => ({file, text, service: serviceOf(file, text) ?? ''}));
	const unseen = [...writes.keys(), ...stale.keys()].length > 0 || outdated.size > 0;
	if (unseen) run('have the units read', 'daemon-reload');
	const restart = services.filter(({file, service}) => outdated.has(file) && isRunning(states.get(service)));
	const start = services.filter(
		({file, text, service}) =>
			startsAtBoot(text) && !isRunning(states.get(service)) && (outdated.has(file) || !isStarted(states.get(service))),
	);
	if (restart.length + start.length > 0)
		steps.push({
			do: 'run',
			command: ['systemctl', 'start', '--no-block', 'network-online.target'],
			why: 'ask for the network that containers wait for, 90 s at most',
		});
	const log = `(their log: journalctl _UID=${user.uid})`;
	const namesOf = (list: typeof services) => list.map(({service}) => service);
	if (restart.length > 0) run(`restart ${namesOf(restart).join(', ')} ${log}`, 'restart', ...namesOf(restart));
	if (start.length > 0) run(`start ${namesOf(start).join(', ')} ${log}`, 'start', ...namesOf(start));
	return steps;
}
