import {dataFolder} from './k3s.ts';
import type {Listed, Probe, Step} from './phase.ts';

const store = `${dataFolder}/agent/containerd`;
const database = `${store}/io.containerd.metadata.v1.bolt/meta.db`;
const log = `${store}/containerd.log`;
const pageSize = 4096;

/** FNV-1a of 64 bits. */
function hash(bytes: Uint8Array): bigint {
	let value = 0xcbf29ce484222325n;
	for (const byte of bytes) value = BigInt.asUintN(64, (value ^ BigInt(byte)) * 0x100000001b3n);
	return value;
}

/** Whether one of the two meta pages is whole: magic number, version and checksum (go.etcd.io/bbolt, Meta.Validate). */
function isMetaWhole(page: Buffer): boolean {
	const meta = page.subarray(16, 80);
	return (
		meta.length === 64 &&
		meta.readUInt32LE(0) === 0xed0cdaed &&
		meta.readUInt32LE(4) === 2 &&
		meta.readBigUInt64LE(56) === hash(meta.subarray(0, 56))
	);
}

/** Whether bolt would refuse a database, from its first bytes. Of two meta pages one may be damaged; an empty file is made anew. */
export function isDatabaseDamaged(start: Buffer): boolean {
	if (start.length === 0) return false;
	return ![0, pageSize].some(at => isMetaWhole(start.subarray(at)));
}

/**
 * The line that says that containerd's last start failed by what a power cut does to its database, or undefined
 * (k3s-io/k3s#3814, #5669, #11973, #12036; containerd/containerd#3347).
 */
export function findStoreFault(log: string): string | undefined {
	const begin = log.lastIndexOf('starting containerd');
	if (begin < 0) return undefined;
	const lines = log.slice(begin).split('\n');
	const crash = lines.find(line => /^(panic:|fatal error:|unexpected fault address)/.test(line));
	if (crash && lines.some(line => line.startsWith('go.etcd.io/bbolt'))) return crash;
	return lines.find(
		line =>
			line.includes('failed to recover state: failed to get metadata for stored sandbox') ||
			(/failed to load plugin.*io\.containerd\.metadata\.v1\.bolt/.test(line) &&
				/invalid database|checksum error|version mismatch|file size too small/.test(line)),
	);
}

/** Why containerd cannot live with its store, or undefined. */
export async function readStoreFault(files: ReadonlyMap<string, Listed>, probe: Probe): Promise<string | undefined> {
	if (files.has(database)) {
		const start = await probe.readBytes(database, pageSize + 80);
		if (start !== undefined && isDatabaseDamaged(start)) return `${database} is damaged`;
	}
	const end = files.has(log) ? await probe.readBytes(log, -(2 ** 20)) : undefined;
	return end === undefined ? undefined : findStoreFault(end.toString());
}

/** The steps that let K3s make containerd's store anew from the image archives, when the old one is damaged. K3s must not run. */
export async function planStore(files: ReadonlyMap<string, Listed>, probe: Probe): Promise<Step[]> {
	const fault = await readStoreFault(files, probe);
	if (fault === undefined) return [];
	const imported = `${dataFolder}/agent/images/.cache.json`;
	return [
		// A person may have made this file: what it names would not be imported again.
		...(files.has(imported)
			? [{do: 'write', path: imported, content: '', mode: 0o644, why: 'forget which archives were imported'} as const]
			: []),
		{
			do: 'run',
			command: ['find', store, '-mindepth', '1', '-xdev', '-delete'],
			why: `remove containerd's damaged store; K3s fills it again from the image archives (${fault.trim()})`,
		},
	];
}
