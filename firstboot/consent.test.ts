import test from 'ava';
import {blank, config, device, machine, made, table} from './phases/install.test.machine.ts';
import {partition} from './phases/partition.ts';
import {probeRecord} from './record.ts';

test('a disk that cannot be read at both ends is not empty', async t => {
	const {'/dev/disk/by-diskseq/1': _, ...files} = blank.files;
	const silent = probeRecord({...blank, files});
	await t.throwsAsync(partition.plan(config, silent), {
		message: /by-diskseq\/1 cannot be read in its first 8 MiB, so it is not blank/,
	});
	for (const wipe of ['empty', 'any'] as const) {
		const readBytes = async (_path: string, count: number) => {
			if (count < 0) throw new Error('EIO: i/o error, read');
			return Buffer.alloc(count);
		};
		await t.throwsAsync(partition.plan({...config, wipe}, {...machine({}), readBytes}), {
			message: /cannot be read in its last 8 MiB, so it is not blank: EIO/,
		});
	}
});

test('a disk without a signature that is not zero at its ends goes with wipe: any only', async t => {
	const held = machine({}, {[device]: 'x'});
	for (const wipe of ['empty', 'same-machine'] as const)
		await t.throwsAsync(partition.plan({...config, wipe}, held), {
			message: /is not empty: it has no signature, and there are bytes other than zero in its first or last 8 MiB/,
		});
	t.is((await partition.plan({...config, wipe: 'any'}, held)).length, 6);
});

test('a disk of data is not erased by an install, whatever the policy, also where udev has not seen its partitions', async t => {
	const data = table({name: 'bringup-left'}); // by the name of its third partition
	for (const wipe of ['empty', 'same-machine', 'any'] as const)
		await t.throwsAsync(partition.plan({...config, wipe}, machine(data)), {
			message: /nvme0n1 is a data disk: it carries bringup-left\./,
		});
});

const finished = table({uuid: '11111111-1111-1111-1111-111111111111', sealed: true});

test('a partition beside our three is not erased with wipe: same-machine, and not with an install that never booted', async t => {
	const beside = (answers: Record<string, unknown>) => {
		const added = structuredClone(answers) as Record<string, {partitiontable?: {partitions: object[]}}>;
		added[`sfdisk --json ${device}`]?.partitiontable?.partitions.push({node: `${device}-part4`, name: 'photos'});
		return machine({...made, ...added});
	};
	await t.throwsAsync(partition.plan({...config, wipe: 'same-machine'}, beside(finished)), {message: /is not empty/});
	const unfinished = table({uuid: '33333333-3333-3333-3333-333333333333'});
	await t.throwsAsync(partition.plan(config, beside(unfinished)), {message: /is not empty/});
});
