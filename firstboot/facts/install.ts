import {namesOne} from '../choice.ts';
import {normalizeWwid, type Selector} from '../disks.ts';
import type {FalseFact, FieldPath, Sections} from './fact.ts';

const unnamed =
	'lets whatever is on the disk go, and a selector without a serial or wwid takes another disk when that one is dead, absent or slow; add the wwid or serial of the disk';

/** Whether both can only mean one disk. */
function isSame(one: Selector, other: Selector): boolean {
	if (one.wwid !== undefined && other.wwid !== undefined) return normalizeWwid(one.wwid) === normalizeWwid(other.wwid);
	if (one.serial === undefined || one.serial !== other.serial) return false;
	// Some enclosures give every disk one serial.
	return one.model === undefined || other.model === undefined || one.model === other.model;
}

/** What is wrong with the words that let a disk's content go. */
export function checkInstall({install, storage}: Pick<Sections, 'install' | 'storage'>): FalseFact[] {
	const faults: FalseFact[] = [];
	const refuse = (path: FieldPath, message: string) => faults.push({path, message});
	if (install?.wipe === 'any' && !namesOne(install.disk)) refuse(['install', 'wipe'], unnamed);
	for (const [name, disk] of Object.entries(storage?.disks ?? {})) {
		const path = ['storage', 'disks', name];
		if (disk.wipe && !namesOne(disk)) refuse([...path, 'wipe'], unnamed);
		if (install && isSame(install.disk, disk))
			refuse(path, 'is the disk of install.disk too; an install takes no data disk');
	}
	return faults;
}
