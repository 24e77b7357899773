import {parseSize} from '../disks.ts';
import type {Command, Phase, Probe, Step} from '../phase.ts';
import type {storageSchema} from '../volumes.ts';
import {defaults, isLoaded, type Pool} from '../zfs.ts';

/** Every property of every dataset, numbers in full; one line each. */
const listProperties: Command = ['zfs', 'get', '-H', '-p', '-t', 'filesystem', '-o', 'name,property,value', 'all'];

async function readDatasets(probe: Probe): Promise<Map<string, Map<string, string>>> {
	const datasets = new Map<string, Map<string, string>>();
	if (!(await isLoaded(probe))) return datasets;
	for (const line of (await probe.output(listProperties)).split('\n').filter(Boolean)) {
		const [name = '', property = '', value = ''] = line.split('\t');
		const dataset = datasets.get(name) ?? new Map<string, string>();
		datasets.set(name, dataset.set(property, value));
	}
	return datasets;
}

/** ZFS gives sizes in bytes, and none as 0. */
function isSame(wanted: string, found: string | undefined): boolean {
	if (wanted === found || (wanted === 'none' && found === '0')) return true;
	return /^\d+[KMGT]$/.test(wanted) && parseSize(wanted) === Number(found);
}

interface Wanted {
	name: string;
	properties: Record<string, string>;
}

function listWanted(pool: string, {properties, datasets}: Pool): Wanted[] {
	const below: Wanted[] = Object.entries(datasets).map(([name, {mount, properties}]) => ({
		name: `${pool}/${name}`,
		properties: {...(mount === undefined ? {} : {mountpoint: mount}), ...properties},
	}));
	// The dataset that another lies in comes first.
	return [
		{name: pool, properties: {...defaults, ...properties}},
		...below.sort((a, b) => a.name.split('/').length - b.name.split('/').length),
	];
}

function planDataset({name, properties}: Wanted, found: ReadonlyMap<string, string> | undefined): Step[] {
	const given = Object.entries(properties);
	if (!found) {
		if (!name.includes('/')) return []; // a plan for a machine whose pool is not made yet
		const options = given.flatMap(([property, value]) => ['-o', `${property}=${value}`]);
		return [{do: 'run', command: ['zfs', 'create', '-p', ...options, name], why: `make the dataset ${name}`}];
	}
	const changes = given.filter(([property, value]) => !isSame(value, found.get(property)));
	const steps = changes.map(([property, value]): Step => {
		const why = `let ${property} of ${name} be ${value}`;
		return {do: 'run', command: ['zfs', 'set', `${property}=${value}`, name], why};
	});
	const {mountpoint, canmount} = properties;
	if (
		mountpoint !== undefined &&
		canmount !== 'off' &&
		found.get('mountpoint') === mountpoint &&
		found.get('mounted') === 'no'
	)
		steps.push({do: 'run', command: ['zfs', 'mount', name], why: `mount ${name} at ${mountpoint}`});
	return steps;
}

/** Datasets of ZFS; what the profile does not name is left alone. Debian's own units mount them at every boot. */
export const datasets: Phase<typeof storageSchema> = {
	packages: ({pools}) => (Object.keys(pools).length > 0 ? ['zfsutils-linux'] : []),
	async plan({pools}, probe) {
		if (Object.keys(pools).length === 0) return [];
		const found = await readDatasets(probe);
		const wanted = Object.entries(pools).flatMap(([name, pool]) => listWanted(name, pool));
		return wanted.flatMap(dataset => planDataset(dataset, found.get(dataset.name)));
	},
};
