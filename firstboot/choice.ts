import {type Disk, type Install, normalizeWwid, parseSize, readDisks, type Selector, target} from './disks.ts';
import type {Probe} from './phase.ts';

/** Why the selector does not take this disk; a property that the disk lacks never matches. */
export function findMismatch(selector: Selector, disk: Disk): string | undefined {
	const {wwid, serial, model, transport, minSize, maxSize} = selector;
	if (wwid !== undefined && !disk.wwids.includes(normalizeWwid(wwid))) return `its wwid is not ${wwid}`;
	if (serial !== undefined && (disk.serial === '' || disk.serial !== serial.trim()))
		return `its serial is not ${serial}`;
	if (model !== undefined) {
		const pattern = model
			.trim()
			.split('*')
			.map(part => part.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'));
		if (disk.model === '' || !new RegExp(`^${pattern.join('.*')}$`).test(disk.model))
			return `its model is not ${model}`;
	}
	if (transport !== undefined && disk.transport !== transport) return `its transport is not ${transport}`;
	if (minSize !== undefined && disk.size < parseSize(minSize)) return `it is smaller than ${minSize}`;
	if (maxSize !== undefined && disk.size > parseSize(maxSize)) return `it is larger than ${maxSize}`;
	return undefined;
}

/** Whether the selector says which one disk, not only which kind. */
export const namesOne = ({wwid, serial}: Selector): boolean => wwid !== undefined || serial !== undefined;

function formatDisk(disk: Disk, verdict: string): string {
	return [
		`  ${disk.name}  ${disk.model || '(no model)'}  ${(disk.size / 1e9).toFixed(1)} GB  ${disk.transport || '?'}`,
		`    serial   ${disk.serial || '(none)'}`,
		`    wwid     ${disk.wwids.join(', ') || '(none)'}`,
		`    contents ${disk.contents}`,
		`    ${verdict}`,
	].join('\n');
}

type Refuse = (disk: Disk) => string | undefined;

/** Why a disk is not the one to install to. */
const refuseInstall =
	({dataDisks = {}}: Install): Refuse =>
	disk => {
		const foreign = disk.mounts.find(mount => mount !== target && !mount.startsWith(`${target}/`));
		const [data] = Object.entries(dataDisks).find(([, selector]) => !findMismatch(selector, disk)) ?? [];
		if (disk.barred !== undefined) return disk.barred;
		if (data !== undefined) return `storage.disks.${data} matches it too, and an install takes no data disk`;
		if (disk.dataLabels.length > 0)
			return `it is a data disk: it carries ${disk.dataLabels.join(', ')}; if it may go, erase it yourself (wipefs --all)`;
		return foreign === undefined ? undefined : `it is in use: mounted at ${foreign}`;
	};

/** All disks and why each was taken or refused. */
function explain(selector: Selector, disks: readonly Disk[], refuse: Refuse): string {
	const verdicts = disks.map(disk => {
		const reason = refuse(disk) ?? findMismatch(selector, disk);
		return formatDisk(disk, reason ? `refused: ${reason}` : 'matches the selector');
	});
	return verdicts.join('\n') || '  (this machine shows no disk at all)';
}

/** All disks, and why each was taken for the install or refused. */
export const explainInstall = (config: Install, disks: readonly Disk[]) =>
	explain(config.disk, disks, refuseInstall(config));

/** The fields that match this disk alone; undefined when none does. YAML takes a serial for a number unless it is quoted. */
function findName(disk: Disk, disks: readonly Disk[], refuse: Refuse): string | undefined {
	const own: Selector[] = [
		...disk.wwids.map(wwid => ({wwid})),
		...(disk.serial ? [{serial: disk.serial}] : []),
		...(disk.serial && disk.model ? [{serial: disk.serial, model: disk.model}] : []),
		...(disk.model && !disk.model.includes('*') ? [{model: disk.model}] : []),
	];
	const unique = own.find(one => disks.filter(other => !refuse(other) && !findMismatch(one, other)).length === 1);
	return (
		unique &&
		Object.entries(unique)
			.map(([field, value]) => `${field}: ${JSON.stringify(value)}`)
			.join(', ')
	);
}

/** What to write instead: only what works when it is pasted. */
function listRemedies(
	selector: Selector,
	disks: readonly Disk[],
	refuse: Refuse,
	paste: (name: string) => string,
): string[] {
	const matching = disks.filter(disk => !findMismatch(selector, disk));
	const barred = matching.filter(refuse);
	const open = matching.length > barred.length ? matching : disks;
	const candidates = open.filter(disk => !refuse(disk));
	const names = candidates.flatMap(disk => findName(disk, disks, refuse) ?? []);
	if (barred.length > 0 && barred.length === matching.length)
		return barred.map(disk => `nothing was changed. ${disk.name} matches and cannot be taken: ${refuse(disk)}`);
	if (names.length === 0)
		return [
			candidates.length > 1
				? 'nothing was changed. No wwid, serial or model tells these disks apart: take out all but one'
				: 'nothing was changed. There is no disk that can be taken',
		];
	return ['nothing was changed. Say which one, by one of these lines:', ...names.map(paste)];
}

/** Why the selector does not say one disk: every disk explained, and what to say instead. */
export function explainChoice(
	what: string,
	selector: Selector,
	disks: readonly Disk[],
	refuse: Refuse,
	paste: (name: string) => string,
): Error {
	const matches = disks.filter(disk => !refuse(disk) && !findMismatch(selector, disk));
	return new Error(
		[
			`${what} must match exactly one disk and matches ${matches.length}`,
			explain(selector, disks, refuse),
			...listRemedies(selector, disks, refuse, paste),
		].join('\n'),
	);
}

/** Where the disk that was picked is on record until the next boot: every phase must come to the same. */
export const choicePath = '/run/bringup/disk.txt';

/** The disk to install to. */
export async function chooseDisk(config: Install, probe: Probe): Promise<Disk> {
	const disks = await readDisks(probe);
	const paste = (name: string) => `  install: {disk: {${name}}}`;
	const refuse = refuseInstall(config);
	const [only, ...more] = disks.filter(disk => !refuse(disk) && !findMismatch(config.disk, disk));
	if (!only || more.length > 0) throw explainChoice('install.disk', config.disk, disks, refuse, paste);
	const earlier = (await probe.read(choicePath))?.split('\n')[0];
	if (earlier === undefined || earlier === only.path) return only;
	throw new Error(
		`the disks have changed since one was picked (${earlier}, now ${only.path}: ${only.name}); boot the medium again`,
	);
}
