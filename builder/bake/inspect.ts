import {mkdir, readdir, readFile, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {logs, traces} from '../../firstboot/sequence.ts';
import {run, UserError} from '../run.ts';

/** What lies at a path of the image. */
interface Entry {
	path: string;
	/** As find(1) has it: f, d, or ? for what else there is. */
	type: 'f' | 'd' | '?';
	/** In bytes; of a file. */
	size: number;
}

interface SfdiskTable {
	partitiontable: {sectorsize: number; partitions: {start: number; name?: string}[]};
}

/** The root file system of a raw disk, as debugfs takes it: read where it lies, without root and without a mount (debugfs(8), libext2fs). */
export async function findRoot(disk: string): Promise<string> {
	const {partitiontable} = JSON.parse(await run(['sfdisk', '--json', disk])) as SfdiskTable;
	const root = partitiontable.partitions.find(({name}) => name === 'bringup-root');
	if (!root) throw new Error(`${disk} has no partition bringup-root: the install did not come to its end`);
	return `${disk}?offset=${root.start * partitiontable.sectorsize}`;
}

/** The content of a file of the image. */
export async function readFromRoot(root: string, path: string, work: string): Promise<Buffer> {
	const copy = join(work, 'read');
	await run(['debugfs', '-R', `dump "${path}" "${copy}"`, root]);
	return readFile(copy);
}

/** The first digits of a mode (inode(7)). */
const kinds: Record<string, Entry['type']> = {'04': 'd', '10': 'f'};

async function listFolders(root: string, folders: readonly string[], work: string): Promise<Entry[]> {
	const script = join(work, 'list');
	await writeFile(script, folders.map(folder => `ls -p "${folder}"\n`).join(''));
	const entries: Entry[] = [];
	let folder = '';
	for (const line of (await run(['debugfs', '-f', script, root])).split('\n')) {
		folder = /^debugfs: ls -p "(.*)"$/.exec(line)?.[1] ?? folder;
		const [, inode, mode = '', , , name = '', size] = line.split('/');
		if (!line.startsWith('/') || inode === '0' || name === '.' || name === '..') continue;
		entries.push({path: `${folder}/${name}`, type: kinds[mode.slice(0, 2)] ?? '?', size: Number(size)});
	}
	return entries;
}

/** The folders that the patterns begin in. */
const beginnings = [...new Set([...traces, ...logs].map(pattern => /^([^*]*)\//.exec(pattern)?.[1] ?? ''))].filter(
	(folder, _, all) => !all.some(other => folder.startsWith(`${other}/`)),
);
const depth = 4;

async function listBelow(root: string, work: string): Promise<Entry[]> {
	const all: Entry[] = [];
	let folders: readonly string[] = beginnings;
	for (let level = 0; level < depth && folders.length > 0; level++) {
		const found = await listFolders(root, folders, work);
		all.push(...found);
		folders = found.filter(({type}) => type === 'd').map(({path}) => path);
	}
	return all;
}

/** As find(1) matches a path: `*` stands for any characters. */
const toPattern = (pattern: string) =>
	new RegExp(`^${pattern.replace(/[.+?()[\]{}|^$\\]/g, '\\$&').replaceAll('*', '.*')}$`);

/** What is in a sealed image and clones must not share; empty when it is as it should be. */
export function findTraces(entries: readonly Entry[]): string[] {
	const [any, files] = [traces.map(toPattern), logs.map(toPattern)];
	const found = entries.filter(({path, type}) => {
		return any.some(pattern => pattern.test(path)) || (type === 'f' && files.some(pattern => pattern.test(path)));
	});
	const id = entries.find(({path}) => path === '/etc/machine-id');
	return [
		...found.map(({path}) => path),
		...(id?.size === 0 ? [] : [id ? '/etc/machine-id, which is not empty' : '/etc/machine-id, which is missing']),
	];
}

/** Files below /etc that hold a private key: whatever package made it, all clones would have it. */
async function findKeys(root: string, work: string): Promise<string[]> {
	const copy = join(work, 'inspected');
	await mkdir(copy);
	await run(['debugfs', '-R', `rdump /etc "${copy}"`, root]);
	const names = await readdir(copy, {recursive: true, withFileTypes: true});
	if (names.length === 0) throw new Error('debugfs gave nothing of /etc: what is in it is not known');
	const keys: string[] = [];
	for (const entry of names.filter(one => one.isFile())) {
		const path = join(entry.parentPath, entry.name);
		if (/^-----BEGIN [A-Z ]*PRIVATE KEY-----$/m.test(await readFile(path, 'latin1')))
			keys.push(path.slice(copy.length));
	}
	await rm(copy, {recursive: true});
	return keys.sort();
}

/** Looks at a sealed disk from outside. Throws when clones of it would share what they must not. */
export async function inspectSeal(root: string, work: string): Promise<void> {
	const entries = [...(await listBelow(root, work)), ...(await listFolders(root, ['/etc'], work))];
	const left = [...new Set([...findTraces(entries), ...(await findKeys(root, work))])];
	if (left.length > 0)
		throw new UserError(
			`the image holds what its clones would share: ${left.join(', ')}; leave out the package that makes it (debian.packages)`,
		);
}
