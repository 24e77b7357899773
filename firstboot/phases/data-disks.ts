import {namesOne} from '../choice.ts';
import {type Claim, claimPath, isClaimed, planClaim, readClaim} from '../claims.ts';
import {type Contents, edges, formatContents, isBlank, readContents} from '../contents.ts';
import {chooseDataDisks, findPartition} from '../devices.ts';
import {type Disk, flatten, isDataLabel, type Node, readBlockDevices} from '../disks.ts';
import {checkInside, type Given, planStops, planWipe} from '../erase.ts';
import {deriveUuid} from '../machine-identity.ts';
import {ofPart, own, type Phase, type Probe, planParts, type Step} from '../phase.ts';
import {partitionLabel, type Storage, type storageSchema} from '../volumes.ts';
import {planModule} from '../zfs-module.ts';

const describe = ({name, model, serial}: Disk) => `${name} (${[model, serial].filter(Boolean).join(', ')})`;

const tell = (disk: Disk, contents: Contents) => (disk.contents === 'empty' ? formatContents(contents) : disk.contents);

function refuse(name: string, disk: Disk, contents: Contents, wipe: string): Error {
	return new Error(
		[
			`storage.disks.${name}: ${describe(disk)} carries data that is not ours`,
			`  wanted  empty, or a partition ${partitionLabel(name)}`,
			`  found   ${tell(disk, contents)}`,
			wipe,
		].join('\n'),
	);
}

/** A name that was taken once has its disk; `wipe` let that one's content go, and no other's. */
function checkClaim(
	name: string,
	disk: Disk,
	claim: Claim | undefined,
	selector: Storage['disks'][string],
	contents: Contents,
): void {
	if (claim === undefined) return;
	const spent = `nothing was changed. What was let go under this name is on record in ${claimPath(name)}, once. If this may be taken anew: rm ${claimPath(name)}`;
	if (!isClaimed(claim, disk)) {
		const before = claim.serial || claim.wwids.join(', ') || 'without a serial';
		// A new disk in the place of a dead one is named by the profile, and blank.
		if (isBlank(contents) && namesOne(selector)) return;
		throw new Error(
			[
				`storage.disks.${name} is the disk ${before} on this machine, and the profile's selector finds ${describe(disk)}`,
				`  wanted  the disk ${before}, or a blank one that the profile names by its serial or wwid`,
				`  found   ${tell(disk, contents)}`,
				spent,
			].join('\n'),
		);
	}
	if (claim.state === 'begun') return;
	throw new Error(
		[
			`storage.disks.${name}: ${describe(disk)} had the partition ${partitionLabel(name)}, and it is gone`,
			`  found   ${tell(disk, contents)}`,
			spent,
		].join('\n'),
	);
}

/** Not what the profile made itself and calls otherwise now. */
function checkNames(name: string, disk: Disk, {table}: Contents): void {
	const made = [...disk.dataLabels, ...(table?.partitions.map(({name}) => name).filter(isDataLabel) ?? [])][0];
	if (made !== undefined)
		throw new Error(
			`storage.disks.${name}: ${describe(disk)} holds ${made}, which was made for another name; call the disk that, or erase it yourself: wipefs --all ${disk.path}`,
		);
}

/** What is to be done with one disk. */
interface DiskPlan {
	name: string;
	disk: Disk;
	claim: Claim;
	/** When nothing has to be made: what is on record may still be missing. */
	steps?: Step[];
	/** Set when the disk is to be erased first. */
	given?: Given;
}

function makeClaim(name: string, disk: Disk, given: boolean): Claim {
	const {serial, wwids} = disk;
	const table = deriveUuid('data disk', name, serial, ...wwids);
	return {serial, wwids: [...wwids], table, given, state: 'begun'};
}

async function planOurs(
	name: string,
	disk: Disk,
	claim: Claim | undefined,
	selector: Storage['disks'][string],
	probe: Probe,
): Promise<Step[]> {
	if (claim && isClaimed(claim, disk)) {
		const why = `record that ${disk.name} is ${name}; what wipe let go is gone`;
		return planClaim(probe, name, {...claim, state: 'done'}, why);
	}
	if (claim && !namesOne(selector))
		throw new Error(
			`storage.disks.${name} is the disk ${claim.serial || claim.wwids.join(', ')} on this machine, and ${describe(disk)} has a partition ${partitionLabel(name)} too; take it out, or name the disk by its serial or wwid`,
		);
	const {serial, wwids} = disk;
	const found: Claim = {serial, wwids: [...wwids], given: false, state: 'done'};
	return planClaim(probe, name, found, `record that ${disk.name} is ${name}; wipe does not count for it any more`);
}

async function planDisk(
	storage: Storage,
	name: string,
	disk: Disk,
	devices: readonly Node[],
	probe: Probe,
): Promise<DiskPlan> {
	const selector = own(storage.disks, name) ?? {wipe: false};
	const node = devices.find(device => device.name === disk.name) as Node;
	const claim = await readClaim(probe, name);
	const made = {name, disk, claim: makeClaim(name, disk, selector.wipe)};
	const ours = findPartition(devices, name);
	if (ours && flatten(node).includes(ours)) return {...made, steps: await planOurs(name, disk, claim, selector, probe)};
	if (ours)
		throw new Error(
			`the partition ${partitionLabel(name)} is on ${ours.path}, and storage.disks.${name} is ${describe(disk)}`,
		);
	// What udev remembers of a disk is not what is on it.
	const contents = await readContents(probe, disk.path, edges.disk);
	if (contents.table?.partitions.some(partition => partition.name === partitionLabel(name))) {
		const command = ['udevadm', 'trigger', '--settle', `--parent-match=/sys/block/${disk.name}`] as const;
		return {...made, steps: [{do: 'run', command, why: `let udev see ${partitionLabel(name)} on ${disk.name}`}]};
	}
	checkNames(name, disk, contents);
	checkClaim(name, disk, claim, selector, contents);
	if (isBlank(contents) && disk.contents === 'empty') return {...made, claim: {...made.claim, given: selector.wipe}};
	if (!selector.wipe) {
		const program = disk.contents.includes('zfs_member') ? 'zpool labelclear -f' : 'wipefs --all';
		const erase = contents.raw ? `blkdiscard --zeroout ${disk.path}` : program;
		throw refuse(
			name,
			disk,
			contents,
			`nothing was changed. If what is on it may go, erase it yourself (${erase}), or say so in the profile:\n  storage: {disks: {${name}: {wipe: true}}}`,
		);
	}
	return {...made, given: {disk, node, consent: `storage.disks.${name}.wipe`}};
}

/** A new partition lies within these ends, and what is made on it must find it blank. */
function planZero({disk}: Given): Step[] {
	const length = Math.min(edges.disk, disk.size);
	const zero = (offset: number, end: string): Step => ({
		do: 'run',
		command: ['blkdiscard', '--zeroout', '--offset', `${offset}`, '--length', `${length}`, disk.path],
		on: [disk.on],
		why: `write zeros at the ${end} of ${describe(disk)}`,
	});
	return [zero(0, 'beginning'), zero(disk.size - length, 'end')];
}

function planErase(given: Given, zfs: boolean): Step[] {
	// wipefs leaves what zpool knows a member by, which then refuses the disk.
	const own = [given.node, ...(given.node.children ?? [])];
	const members = zfs ? own.filter(({fstype}) => fstype === 'zfs_member') : [];
	const clears = members.map(({type, name}): Step => {
		const number = /\d+$/.exec(name)?.[0];
		const path = type === 'part' ? `${given.disk.path}-part${number}` : given.disk.path;
		const why = `erase ${describe(given.disk)}: ${path} as a member of a pool; ${given.consent}`;
		return {do: 'run', command: ['zpool', 'labelclear', '-f', path], on: [given.disk.on], why};
	});
	return [...clears, ...planWipe(given), ...planZero(given)];
}

function planMake({name, disk, claim, given}: DiskPlan, erase: Step[]): Step[] {
	const end: Step = {
		do: 'write',
		path: claimPath(name),
		content: `${JSON.stringify({...claim, state: 'done'}, undefined, '\t')}\n`,
		mode: 0o644,
		why: `record that ${disk.name} is ${name}${claim.given ? '; wipe does not count any more' : ''}`,
	};
	return [
		...erase,
		{
			do: 'run',
			// Signatures inside the new partition are kept unless the profile gave the disk's content up: what is made on it refuses them.
			command: ['sfdisk', '--wipe-partitions', claim.given ? 'always' : 'never', disk.path],
			stdin: `label: gpt\nlabel-id: ${claim.table}\nname=${partitionLabel(name)}\n`,
			on: [disk.on],
			why: `partition ${describe(disk)} as ${name}; it is ${given ? 'erased' : 'empty'}`,
		},
		{do: 'run', command: ['udevadm', 'settle'], why: 'let udev see the partition'},
		end,
	];
}

/** Gives every data disk the one partition that the rest is made on. */
export const dataDisks: Phase<typeof storageSchema> = {
	packages: ['fdisk', 'util-linux', 'udev', 'lvm2', 'mdadm', 'smartmontools'],
	async plan(storage, probe) {
		const chosen = await chooseDataDisks(storage, probe);
		const devices = await readBlockDevices(probe);
		const zfs = Object.keys(storage.pools).length > 0;
		const goes = new Set(
			[...chosen].flatMap(([name, disk]) =>
				own(storage.disks, name)?.wipe && !(disk instanceof Error) ? [disk.name] : [],
			),
		);
		const plan = async (name: string) => {
			const disk = chosen.get(name);
			if (disk === undefined || disk instanceof Error) throw disk;
			const one = await planDisk(storage, name, disk, devices, probe);
			if (one.given) checkInside([one.given], devices, goes);
			return one;
		};
		return planParts([...chosen.keys()], plan, async (plans, names) => {
			const given = plans.flatMap(one => one.given ?? []);
			const erase = new Map(given.map(one => [one.disk, planErase(one, zfs)]));
			// zpool clears no member before the kernel has its module.
			const clears = [...erase.values()].flat().some(step => step.do === 'run' && step.command[0] === 'zpool');
			const module = clears ? await planModule(storage, probe) : {steps: [], usable: true};
			if (!module.usable) return module.steps;
			// What lies on two of the disks is stopped once, and before either is erased.
			const stops = given.length > 0 ? planStops(given, devices) : [];
			const fresh = plans.filter(({steps}) => steps === undefined);
			const begin = fresh.map(({name, disk, claim}) =>
				planClaim(probe, name, claim, `record that ${describe(disk)} becomes ${name}`),
			);
			return [
				...module.steps,
				...(await Promise.all(begin)).flat(),
				...stops,
				...plans.flatMap((one, index) => ofPart(names[index], one.steps ?? planMake(one, erase.get(one.disk) ?? []))),
			];
		});
	},
};
