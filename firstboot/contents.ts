import {markOffsetIn, partitions, partitionTypes, readMark, type Table} from './layout.ts';
import type {Probe} from './phase.ts';

export interface Signature {
	type: string;
	uuid: string | null;
	label: string | null;
}

/** What is on a device, read from the device itself. */
export interface Contents {
	signatures: readonly Signature[];
	table: Table | undefined;
	/** Whether there are bytes other than zero at its ends that no signature explains: encryption without a header, a raw database. */
	raw: boolean;
}

/** What libblkid finds on a device, read from the device itself, not from udev's memory of it. */
export async function readSignatures(probe: Probe, path: string): Promise<Signature[]> {
	const output = await probe.output(['wipefs', '--no-act', '--json', path]);
	return output.trim() === '' ? [] : (JSON.parse(output) as {signatures: Signature[]}).signatures;
}

interface SfdiskTable {
	partitiontable: {
		label: string;
		id: string;
		sectorsize: number;
		partitions?: {node: string; start: number; size: number; name?: string; uuid?: string; type?: string}[];
	};
}

/** The GPT of a disk, read from the disk itself, and the mark of an install that has not yet booted. */
export async function readTable(
	probe: Probe,
	path: string,
	signatures: readonly Signature[],
): Promise<Table | undefined> {
	if (!signatures.some(({type}) => type === 'gpt')) return undefined;
	const {partitiontable} = JSON.parse(await probe.output(['sfdisk', '--json', path])) as SfdiskTable;
	const found = (partitiontable.partitions ?? []).map(({node, start, size, name = '', uuid = '', type = ''}) => ({
		number: Number(/(\d+)$/.exec(node)?.[1]),
		name,
		uuid: uuid.toLowerCase(),
		type: type.toLowerCase(),
		end: (start + size) * partitiontable.sectorsize,
	}));
	const bios = found.find(({number, type}) => number === partitions.bios && type === partitionTypes.bios);
	const mark = bios && (await readMark(probe, path, markOffsetIn(bios)));
	return {id: partitiontable.id.toLowerCase(), partitions: found, mark};
}

/** How much of each end must be zero on a device that counts as blank; of a disk more, so that its new partition is blank too. */
export const edges = {disk: 8 * 2 ** 20, other: 4 * 2 ** 20} as const;

/** libblkid takes a sector that cannot be read for one without a signature: here it is an error. */
async function isZero(probe: Probe, path: string, count: number): Promise<boolean> {
	const bytes = await probe.readBytes(path, count).catch(cause => {
		const end = count < 0 ? 'last' : 'first';
		const why = cause instanceof Error ? cause.message : String(cause);
		throw new Error(
			`${path} cannot be read in its ${end} ${Math.abs(count) / 2 ** 20} MiB, so it is not blank: ${why}`,
			{cause},
		);
	});
	if (bytes === undefined) throw new Error(`${path} is not there any more; nothing was changed`);
	return bytes.equals(Buffer.alloc(bytes.length));
}

/** What is on a device. Throws when it cannot be read at both ends. */
export async function readContents(probe: Probe, path: string, edge: number = edges.other): Promise<Contents> {
	const signatures = await readSignatures(probe, path);
	if (signatures.length > 0) return {signatures, table: await readTable(probe, path, signatures), raw: false};
	const [first, last] = [await isZero(probe, path, edge), await isZero(probe, path, -edge)];
	return {signatures, table: undefined, raw: !first || !last};
}

/** Nothing at all, as far as can be told. */
export const isBlank = ({signatures, raw}: Contents): boolean => signatures.length === 0 && !raw;

/** What is on a device, for people. */
export function formatContents({signatures, raw}: Contents): string {
	if (raw) return 'bytes without a signature, such as an encrypted disk without a header or a raw database';
	return [...new Set(signatures.map(({type, label}) => (label ? `${type} "${label}"` : type)))].join(', ') || 'nothing';
}
