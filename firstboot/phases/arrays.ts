import {flatten, type Node, readBlockDevices} from '../disks.ts';
import {type Phase, type Probe, planParts, type Step} from '../phase.ts';
import {devicePath, findPartition, formatDifference, readContent, type Storage, storageSchema} from '../volumes.ts';

/** mdadm keeps `host:name`; made for any host, an array has its own name on every machine. */
function nameOf(label: string | null): string {
	return label?.split(':').at(-1) ?? '';
}

async function planArray(storage: Storage, name: string, devices: readonly Node[], probe: Probe): Promise<Step[]> {
	const {level, members} = storage.arrays[name] as Storage['arrays'][string];
	const path = devicePath(storage, name);
	const contents = await Promise.all(members.map(member => readContent(storage, member, probe)));
	const ours = contents.map(found =>
		found.some(({type, label}) => type === 'linux_raid_member' && nameOf(label) === name),
	);
	const foreign = members.findIndex((_, index) => !ours[index] && contents[index]?.length);
	const wanted = `${level} on ${members.join(', ')}`;
	if (foreign >= 0) {
		const found = `${members[foreign]} holds ${contents[foreign]?.map(({type, label}) => `${type} ${label ?? ''}`).join(', ')}`;
		throw formatDifference(
			`the array ${name}`,
			wanted,
			found,
			`if it may go: wipefs --all ${devicePath(storage, members[foreign] ?? '')}`,
		);
	}
	const active = members.flatMap(member => {
		const partition = findPartition(devices, member);
		return partition ? flatten(partition).filter(({type}) => /^raid/.test(type)) : [];
	});
	if (active.length === 0 && ours.includes(true))
		throw formatDifference(
			`the array ${name}`,
			wanted,
			`${members.filter((_, index) => ours[index]).join(', ')} belongs to it, and it is not running`,
			`see: mdadm --examine ${members.map(member => devicePath(storage, member)).join(' ')}; to start it: mdadm --assemble --scan --run`,
		);
	if (active.length > 0) {
		const [{type} = {type: ''}] = active;
		if (type !== level)
			throw formatDifference(`the array ${name}`, level, type, 'a level is changed by hand: mdadm --grow');
		const disks = Number((await probe.read(`/sys/block/${active[0]?.name}/md/raid_disks`)) ?? members.length);
		if (disks !== members.length)
			throw formatDifference(
				`the array ${name}`,
				`${members.length} members`,
				`${disks}`,
				'their number is changed by hand: mdadm --grow',
			);
		return members
			.filter((_, index) => !ours[index])
			.map(member => ({
				do: 'run',
				command: ['mdadm', '--manage', path, '--add', devicePath(storage, member)],
				why: `add ${member} to ${name}`,
			}));
	}
	const options = ['--name', name, '--homehost', 'any', '--level', level.replace('raid', ''), '--bitmap', 'internal'];
	const count = ['--raid-devices', String(members.length)];
	return [
		{
			do: 'run',
			command: ['mdadm', '--create', path, ...options, ...count, ...members.map(member => devicePath(storage, member))],
			stdin: 'y\n', // mdadm asks whether this array is to boot from; the members were seen to be blank
			why: `make the array ${name}: ${wanted}`,
		},
		{do: 'run', command: ['udevadm', 'settle'], why: 'let udev see the array'},
	];
}

/** RAID of md on the data disks; Debian's own timer of mdadm checks it each month. */
export const arrays: Phase<typeof storageSchema> = {
	schema: storageSchema,
	packages: ['mdadm', 'udev'],
	async plan(storage, probe) {
		const devices = await readBlockDevices(probe);
		return planParts(Object.keys(storage.arrays), name => planArray(storage, name, devices, probe));
	},
};
