import {planMaking} from '../claims.ts';
import {type Contents, formatContents, isBlank, readSignatures} from '../contents.ts';
import {findArrays, findPlace, formatDifference, isGiven, type Place, readContent} from '../devices.ts';
import {type Node, readBlockDevices} from '../disks.ts';
import {type Phase, type Probe, planParts, type Step} from '../phase.ts';
import {devicePath, type Storage, type storageSchema} from '../volumes.ts';

interface Member {
	name: string;
	place: Place;
	content: Contents | undefined;
	/** Whether it says that it is of our array; mdadm keeps `host:name`, and ours are made for any host. */
	ours: boolean;
}

async function readMember(storage: Storage, array: string, name: string, probe: Probe): Promise<Member> {
	const [place, content] = [await findPlace(storage, name, probe), await readContent(storage, name, probe)];
	const ours = content?.signatures.some(({type, label}) => {
		return type === 'linux_raid_member' && (label === `any:${array}` || label === array);
	});
	return {name, place, content, ours: ours ?? false};
}

/** Array of a member by its UUID, as it is on the device itself. */
async function readUuid({place}: Member, probe: Probe): Promise<string> {
	const found = await readSignatures(probe, place.path);
	return found.find(({type}) => type === 'linux_raid_member')?.uuid ?? 'no array';
}

/** A running array must be of the level and members that the profile says, and whole. */
async function planRunning(
	storage: Storage,
	name: string,
	members: readonly Member[],
	array: Node,
	probe: Probe,
): Promise<Step[]> {
	const {level} = storage.arrays[name] as Storage['arrays'][string];
	const differs = (wanted: string, found: string, remedy: string) =>
		formatDifference(`the array ${name}`, wanted, found, remedy);
	const read = async (file: string) => (await probe.read(`/sys/block/${array.name}/md/${file}`))?.trim();
	if (array.type !== level) throw differs(level, array.type, 'a level is changed by hand: mdadm --grow');
	const disks = Number((await read('raid_disks')) ?? members.length);
	if (disks !== members.length)
		throw differs(`${members.length} members`, `${disks}`, 'their number is changed by hand: mdadm --grow');
	const runs = ({place}: Member) => place.node?.children?.some(({path}) => path === array.path) ?? false;
	const left = members.find(member => member.ours && !runs(member));
	const running = members.find(runs);
	if (left && running) {
		const [out, own] = [await readUuid(left, probe), await readUuid(running, probe)];
		throw out === own
			? differs(
					`all of ${members.map(({name}) => name).join(', ')} in it`,
					`it runs without ${left.name}, which was dropped from it`,
					`see why (mdadm --examine ${left.place.path}; smartctl); where the disk is well: mdadm --manage ${array.path} --re-add ${left.place.path}`,
				)
			: differs(
					`one array on ${members.map(({name}) => name).join(', ')}`,
					`${left.name} is of the array ${out}, and ${running.name} of ${own}`,
					'take the disk of another machine out',
				);
	}
	const blank = members.filter(({ours}) => !ours);
	const missing = Number((await read('degraded')) ?? 0);
	const states = await Promise.all(members.map(({place}) => read(`dev-${place.node?.name}/state`)));
	const mending =
		/^(recover|reshape|resync)/.test((await read('sync_action')) ?? '') ||
		states.some(state => state?.includes('spare'));
	if (blank.length === 0 && missing > 0 && !mending)
		throw differs(
			'an array that is whole',
			`it runs without ${missing} of its ${disks} members`,
			`see which (mdadm --detail ${array.path}), and put a blank disk in its place`,
		);
	return blank.map(({name: member, place}) => ({
		do: 'run',
		command: ['mdadm', '--manage', array.path, '--add', place.path],
		on: [...place.on, ...(running?.place.on ?? [])],
		why: `add ${member} to ${name}`,
	}));
}

async function planNew(storage: Storage, name: string, members: readonly Member[], probe: Probe): Promise<Step[]> {
	const {level} = storage.arrays[name] as Storage['arrays'][string];
	const options = ['--name', name, '--homehost', 'any', '--level', level.replace('raid', ''), '--bitmap', 'internal'];
	const count = ['--raid-devices', String(members.length)];
	const paths = members.map(({place}) => place.path);
	return [
		...(await planMaking(probe, name, (await isGiven(storage, name, probe)) ? 'given' : 'empty')),
		{
			do: 'run',
			// With its metadata named it does not ask whether the array is to boot from; whatever else it asks, nobody answers yes.
			command: ['mdadm', '--create', devicePath(storage, name), '--metadata', '1.2', ...options, ...count, ...paths],
			on: members.flatMap(({place}) => place.on),
			why: `make the array ${name}: ${level} on ${members.map(({name}) => name).join(', ')}`,
		},
		{do: 'run', command: ['udevadm', 'settle'], why: 'let udev see the array'},
	];
}

async function planArray(storage: Storage, name: string, devices: readonly Node[], probe: Probe): Promise<Step[]> {
	const {level, members: names} = storage.arrays[name] as Storage['arrays'][string];
	const members = await Promise.all(names.map(member => readMember(storage, name, member, probe)));
	const wanted = `${level} on ${names.join(', ')}`;
	const differs = (found: string, remedy: string) => formatDifference(`the array ${name}`, wanted, found, remedy);
	const foreign = members.find(({ours, content}) => !ours && content && !isBlank(content));
	if (foreign?.content)
		throw differs(
			`${foreign.name} holds ${formatContents(foreign.content)}`,
			`if it may go: wipefs --all ${foreign.place.path}`,
		);
	const [array, other] = findArrays(names, devices);
	if (other)
		throw differs(`they are in two arrays, ${array?.path} and ${other.path}`, 'take the disk of another machine out');
	if (array && members.some(({ours}) => ours)) return planRunning(storage, name, members, array, probe);
	const own = members.filter(({ours}) => ours);
	if (own.length > 0)
		throw differs(
			`${own.map(({name}) => name).join(', ')} belongs to it, and it is not running`,
			`look at it with: mdadm --examine ${own[0]?.place.path}; where all that there is of it is there: mdadm --assemble --run ${devicePath(storage, name)} ${own.map(({place}) => place.path).join(' ')}`,
		);
	if (array) throw differs(`${array.path} runs on them`, `look at it with: mdadm --detail ${array.path}`);
	return planNew(storage, name, members, probe);
}

/** RAID of md on the data disks; Debian's own timer of mdadm checks it each month. */
export const arrays: Phase<typeof storageSchema> = {
	packages: ['mdadm', 'udev'],
	async plan(storage, probe) {
		const devices = await readBlockDevices(probe);
		return planParts(Object.keys(storage.arrays), name => planArray(storage, name, devices, probe));
	},
};
