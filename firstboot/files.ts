import {closeSync, constants, fstatSync, lstatSync, openSync, readdirSync, readFileSync, readlinkSync} from 'node:fs';
import {mkdir, open, realpath, rename, rm} from 'node:fs/promises';
import {basename, dirname, join} from 'node:path';
import {findHome, readInHome} from './homes.ts';
import type {Listed, Probe} from './phase.ts';

function isAbsent(error: unknown): boolean {
	const code = (error as NodeJS.ErrnoException).code;
	return code === 'ENOENT' || code === 'ENOTDIR';
}

/** sysfs shows attributes that the device does not have, and refuses to read them. */
function isUnsupported(path: string, error: unknown): boolean {
	return (
		path.startsWith('/sys/') && ['ENXIO', 'EINVAL', 'EOPNOTSUPP'].includes((error as NodeJS.ErrnoException).code ?? '')
	);
}

/** A named pipe has nothing to say before somebody writes into it, which may be never. */
const withoutWaiting = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY;

function checkFile(path: string, is: {isFIFO(): boolean; isCharacterDevice(): boolean}): void {
	if (is.isFIFO() || is.isCharacterDevice()) throw new Error(`${path} is no file that ends`);
}

async function read(path: string): Promise<string | undefined> {
	try {
		const home = findHome(path);
		if (home !== undefined) return readInHome(path, home);
		const fd = openSync(path, withoutWaiting);
		try {
			checkFile(path, fstatSync(fd));
			return readFileSync(fd, 'utf8'); // a tenth of what it takes beside others
		} finally {
			closeSync(fd);
		}
	} catch (error) {
		if (isAbsent(error) || isUnsupported(path, error)) return undefined;
		throw error;
	}
}

/** Of a block device; stat(2) calls each empty. */
async function readDeviceSize(path: string): Promise<number> {
	const sectors = readFileSync(`/sys/class/block/${basename(await realpath(path))}/size`, 'utf8');
	return Number(sectors) * 512;
}

async function readBytes(path: string, count: number): Promise<Buffer | undefined> {
	const file = await open(path, withoutWaiting).catch(error => {
		if (isAbsent(error)) return undefined;
		throw error;
	});
	if (file === undefined) return undefined;
	try {
		const is = await file.stat();
		checkFile(path, is);
		const size = is.isBlockDevice() ? await readDeviceSize(path) : is.size;
		const length = Math.min(Math.abs(count), size);
		const bytes = Buffer.alloc(length);
		const start = count < 0 ? size - length : 0;
		// A device gives what stands before a bad sector, and the error only to who asks further.
		for (let done = 0; done < length; ) {
			const {bytesRead} = await file.read(bytes, done, length - done, start + done);
			if (bytesRead === 0) return bytes.subarray(0, done);
			done += bytesRead;
		}
		return bytes;
	} finally {
		await file.close();
	}
}

/** Undefined for what went away meanwhile, or is another thing now. */
function look(path: string): Listed | undefined {
	const stat = lstatSync(path, {bigint: true, throwIfNoEntry: false});
	if (stat === undefined) return undefined;
	const type = stat.isFile() ? 'f' : stat.isDirectory() ? 'd' : stat.isSymbolicLink() ? 'l' : '?';
	const listed = {type, size: String(stat.size), time: String(stat.mtimeNs), inode: String(stat.ino), target: ''};
	if (type !== 'l') return listed;
	try {
		return {...listed, target: readlinkSync(path)};
	} catch (error) {
		if (isAbsent(error) || (error as NodeJS.ErrnoException).code === 'EINVAL') return undefined;
		throw error;
	}
}

async function list(path: string): Promise<Map<string, Listed> | undefined> {
	try {
		const entries = readdirSync(path).map(name => [name, look(join(path, name))] as const);
		return new Map(entries.filter((entry): entry is [string, Listed] => entry[1] !== undefined));
	} catch (error) {
		if (isAbsent(error)) return undefined;
		throw error;
	}
}

/** What of a machine is asked without a program. */
export const files: Omit<Probe, 'output'> = {read, readBytes, list};

async function syncPath(path: string): Promise<void> {
	const handle = await open(path, constants.O_RDONLY);
	try {
		await handle.sync();
	} finally {
		await handle.close();
	}
}

/** Writes a file so that a power cut leaves the old content or the new, never less: temporary file, fsync, rename, fsync the folder. */
export async function writeDurably(path: string, content: string, mode: number): Promise<void> {
	const made = await mkdir(dirname(path), {recursive: true});
	const target = await realpath(path).catch(error => {
		if (isAbsent(error)) return path;
		throw error;
	});
	// Always the same name: what a power cut leaves behind is overwritten by the next boot.
	const temporary = join(dirname(target), `.${basename(target)}.bringup`);
	try {
		const file = await open(temporary, 'w', mode);
		try {
			await file.writeFile(content);
			await file.chmod(mode);
			await file.sync();
		} finally {
			await file.close();
		}
		await rename(temporary, target);
		await syncPath(target); // on FAT the new name has the old content's place and size only after this
	} catch (error) {
		await rm(temporary, {force: true});
		throw error;
	}
	for (let folder = dirname(target); ; folder = dirname(folder)) {
		await syncPath(folder);
		if (made === undefined || folder === dirname(made) || folder === '/') break;
	}
}
