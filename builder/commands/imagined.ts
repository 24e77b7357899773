import {type Probe, parseSize, probeRecord, type RecordedMachine} from '../../firstboot/sequence.ts';
import type {ProfileFields} from '../profile/schema.ts';

type Selector = ProfileFields['install']['disk'];

interface BlockDevice {
	name: string;
	path: string;
	size: number;
}

/** Bytes that the selector takes: those of the recorded disk, where it may. */
function chooseSize({minSize, maxSize}: Selector, size: number): number {
	if (minSize !== undefined && size < parseSize(minSize)) return parseSize(minSize);
	return maxSize !== undefined && size > parseSize(maxSize) ? parseSize(maxSize) : size;
}

/** The properties of a disk that the selector takes. */
function describe(selector: Selector, number: number, size: number): object {
	const {wwid, serial, model, transport} = selector;
	return {
		serial: serial ?? `IMAGINED${number}`,
		wwn: wwid ?? `eui.00000000000000${String(number).padStart(2, '0')}`,
		...(model === undefined ? {} : {model: model.replaceAll('*', '')}),
		...(transport === undefined ? {} : {tran: transport}),
		size: chooseSize(selector, size),
	};
}

/** Where the installer reads the end of a disk, in MiB. */
const endOf = (size: number) => String(Math.floor(size / 2 ** 20) - 4);

/** The recorded wired link, once for each that the profile names by its address. */
function imagineLinks(
	links: readonly {ifname: string; link_type: string; address: string}[],
	fields: ProfileFields,
): object[] {
	const macs = Object.values(fields.network?.links ?? {}).flatMap(({mac}) => mac ?? []);
	const wired = links.find(({link_type}) => link_type === 'ether');
	const named = macs.map((address, index) => ({...wired, ifindex: 10 + index, ifname: `named${index}`, address}));
	return [...links.filter(({address}) => !macs.includes(address)), ...named];
}

/** The blank machine, with a disk for each selector of the profile in the place of its one. */
export function imagineMachine({commands, files}: RecordedMachine, fields: ProfileFields): RecordedMachine {
	const list = Object.keys(commands).find(command => command.startsWith('lsblk ')) ?? '';
	const {blockdevices} = commands[list] as {blockdevices: BlockDevice[]};
	const base = blockdevices.find(({name}) => name.startsWith('nvme'));
	if (!base) return {commands, files};
	const number = (files[`/sys/block/${base.name}/diskseq`] ?? '').trim();
	const selectors: Selector[] = [fields.install.disk, ...Object.values(fields.storage?.disks ?? {})];
	const disks = selectors.map((selector, index) => {
		const name = `nvme${index}n1`;
		const disk = {...base, name, path: `/dev/${name}`, ...describe(selector, index, base.size)};
		const rename = (text: string) =>
			text
				.replaceAll(`by-diskseq/${number}`, `by-diskseq/${Number(number) + 100 * index}`)
				.replaceAll(base.name, name)
				.replace(`skip=${endOf(base.size)}`, `skip=${endOf(disk.size)}`);
		return {disk, index, rename};
	});
	const isOfDisk = (text: string) => text.includes(`by-diskseq/${number}`) || text.includes(base.name);
	const spread = <T>(map: Readonly<Record<string, T>>) =>
		Object.entries(map).flatMap(([key, value]) =>
			isOfDisk(key) ? disks.map(({rename}) => [rename(key), value] as const) : [[key, value] as const],
		);
	const ipLinks = Object.keys(commands).find(command => command.startsWith('ip -json -details link')) ?? '';
	const numbers = disks.map(({disk, index}) => [
		`/sys/block/${disk.name}/diskseq`,
		`${Number(number) + 100 * index}\n`,
	]);
	return {
		commands: {
			...Object.fromEntries(spread(commands)),
			[ipLinks]: imagineLinks(commands[ipLinks] as Parameters<typeof imagineLinks>[0], fields),
			[list]: {blockdevices: [...blockdevices.filter(device => device !== base), ...disks.map(({disk}) => disk)]},
		},
		files: {
			...Object.fromEntries(spread(files)),
			...Object.fromEntries(numbers),
			[`/usr/share/zoneinfo/${fields.identity.timezone}`]: '',
		},
	};
}

/** What programs say that look for something where nothing is, by the program. */
const nothing: Readonly<Record<string, string>> = {
	find: '',
	lvm: '{"report": []}',
	wipefs: '{"signatures": []}',
	zfs: '',
	zpool: '',
};

/** The imagined machine, on which there is nothing that was not imagined. */
export function probeImagined(record: RecordedMachine): Probe {
	const probe = probeRecord(record);
	return {
		...probe,
		output: command =>
			probe.output(command).catch(error => {
				const answer = nothing[command[0]];
				if (answer === undefined) throw error;
				return answer;
			}),
	};
}
