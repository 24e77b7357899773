import {createHash} from 'node:crypto';
import {type FileHandle, open, readdir, readFile, stat} from 'node:fs/promises';
import {join, relative, resolve} from 'node:path';
import * as z from 'zod';

import {buildLayer} from '../build/layer.ts';
import type {NetbootTree} from '../build/pxe.ts';
import {parseJson, withFolder} from '../folder.ts';
import {UserError} from '../run.ts';

/** A file that is held open: what is given of it is the same to its end, also when another takes its place. */
export interface OpenFile {
	handle: FileHandle;
	size: number;
}

/** A netboot tree with its files, by their path in it. */
export interface OpenTree extends NetbootTree {
	folder: string;
	files: ReadonlyMap<string, OpenFile>;
	/** Another one when the tree was made anew. */
	stamp: string;
}

const hasIdentity = (text: string) => {
	const machine = parseJson<{identity?: unknown} | null>(text);
	return typeof machine?.identity === 'object' && machine.identity !== null;
};

const treeSchema = z.object({
	schema: z.literal(1),
	// A tree made before there were two methods is of the first.
	method: z.enum(['image', 'debian-installer']).default('image'),
	profile: z.string(),
	buildId: z.string().regex(/^[0-9a-f]+$/),
	epoch: z.number(),
	title: z.string(),
	bootWords: z.array(z.string()),
	layers: z.array(z.object({name: z.string(), sha256: z.string(), size: z.number()})),
	machine: z.string().refine(hasIdentity),
}) satisfies z.ZodType<NetbootTree>;

const remedy = (folder: string) => `make it again: bringup build-pxe --profile NAME --out ${folder}`;

/** Changes when the file of this path does; undefined where there is none. */
export async function readStamp(path: string): Promise<string | undefined> {
	const found = await stat(path).catch(error => {
		if (error.code === 'ENOENT') return undefined;
		throw error;
	});
	return found && [found.dev, found.ino, found.size, found.mtimeMs].join(' ');
}

async function readDescription(folder: string): Promise<NetbootTree> {
	const path = join(folder, 'tree.json');
	const text = await readFile(path, 'utf8').catch(error => {
		if (error.code !== 'ENOENT' && error.code !== 'ENOTDIR') throw error;
		throw new UserError(
			`${folder} is not a netboot tree: it has no tree.json; make one: bringup build-pxe --profile NAME`,
			{
				cause: error,
			},
		);
	});
	try {
		return treeSchema.parse(JSON.parse(text));
	} catch (error) {
		throw new UserError(`${path} is damaged; ${remedy(folder)}`, {cause: error});
	}
}

/** What a tree of each method must have to be booted. */
function listNeeded({method, layers, buildId}: NetbootTree): string[] {
	const loaders = ['bootx64.efi', 'grubx64.efi', 'mmx64.efi', 'bringup.pxe'];
	if (method === 'debian-installer') return [...loaders, 'install/vmlinuz', 'install/initrd.img'];
	return [...loaders, 'live/vmlinuz', 'live/initrd.img', ...layers.map(({name}) => `live-${buildId}/${name}`)];
}

/** Opens a tree and every file of it; nothing else of it can be given. Throws a UserError when it is none, or not whole. */
export async function openTree(place: string): Promise<OpenTree> {
	const folder = resolve(place);
	const stamp = (await readStamp(join(folder, 'tree.json'))) ?? '';
	const tree = await readDescription(folder);
	const files = new Map<string, OpenFile>();
	try {
		for (const entry of await readdir(folder, {recursive: true, withFileTypes: true})) {
			if (!entry.isFile()) continue;
			const path = join(entry.parentPath, entry.name);
			const handle = await open(path, 'r');
			files.set(relative(folder, path), {handle, size: (await handle.stat()).size});
		}
		const missing = listNeeded(tree).find(path => !files.has(path));
		if (missing !== undefined) throw new UserError(`${folder} is not whole: it has no ${missing}; ${remedy(folder)}`);
		const damaged = tree.layers.find(({name, size}) => files.get(`live-${tree.buildId}/${name}`)?.size !== size);
		if (damaged) throw new UserError(`${folder}: ${damaged.name} is damaged; ${remedy(folder)}`);
	} catch (error) {
		await closeTree({files});
		throw error;
	}
	return {...tree, folder, files, stamp};
}

/** Lets go of the files of a tree; what is being read of them now ends first. */
export async function closeTree({files}: Pick<OpenTree, 'files'>): Promise<void> {
	await Promise.all([...files.values()].map(({handle}) => handle.close()));
}

/** What one machine has for itself: its machine.json, and the layer that holds it. */
export interface OwnLayer {
	data: Buffer;
	sha256: string;
	machine: string;
}

/** Makes the layer by which a machine has its name. */
export async function makeOwnLayer(name: string, tree: NetbootTree, work: string): Promise<OwnLayer> {
	const machine = JSON.parse(tree.machine) as {identity: object};
	const own = {...machine, identity: {...machine.identity, hostname: name}};
	const content = `${JSON.stringify(own, undefined, '\t')}\n`;
	return withFolder(work, async folder => {
		const file = join(folder, 'own.squashfs');
		await buildLayer(new Map([['etc/bringup/machine.json', {content, mode: 0o600}]]), file, tree.epoch);
		const data = await readFile(file);
		return {data, sha256: createHash('sha256').update(data).digest('hex'), machine: content};
	});
}
