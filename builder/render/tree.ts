import {chmod, mkdir, readdir, readFile, writeFile} from 'node:fs/promises';
import {dirname, join, relative} from 'node:path';
import {type Machine, sections} from '../../firstboot/sequence.ts';
import {packageFolder} from '../paths.ts';
import type {CompleteProfile} from '../profile/complete.ts';
import {type Escaping, fillTemplate} from './template.ts';
import {makeView} from './view.ts';

/** Files by path, relative and sorted. */
export type FileTree = ReadonlyMap<string, {content: string; mode: number}>;

const templatesFolder = join(packageFolder, 'templates');

/** The folders of the live-build tree, by where their files end up. */
export const folders = {
	/** Files of the installed system and of the medium's. */
	chroot: 'config/includes.chroot/',
	/** Files of the medium itself. */
	binary: 'config/includes.binary/',
	/** Files of debian-installer's initramfs. */
	installer: 'config/includes.installer/',
	hooks: 'config/hooks/normal/',
	lists: 'config/package-lists/',
	/** What machines fetch that boot over the network. */
	pxe: 'pxe/',
} as const;

function escapingOf(path: string): Escaping {
	if (path.endsWith('grub.cfg')) return 'grub';
	return /^auto\/|\.hook\.(chroot|binary)$|\/etc\/default\/|\/usr\/bin\/|\.installer\/.*lib\//.test(path)
		? 'shell'
		: 'line';
}

function modeOf(path: string): number {
	return /^auto\/|\.hook\.(chroot|binary)$|\/usr\/bin\/|\.installer\/.*lib\//.test(path) ? 0o755 : 0o644;
}

/** What the machine reads; its schema is the machine's. Secrets stay references: the build puts their values into files of their own. */
export function makeMachine({name, fields}: CompleteProfile): Machine {
	const names = Object.keys(sections) as (keyof typeof sections)[];
	const given = names.filter(section => fields[section] !== undefined);
	const read = Object.fromEntries(given.map(section => [section, fields[section]]));
	return {schema: 1, profile: name, ...read};
}

/** The live-build configuration tree of a profile. Depends on the profile and the templates only. */
export async function renderTree(profile: CompleteProfile): Promise<FileTree> {
	const view = makeView(profile);
	const entries = await readdir(templatesFolder, {recursive: true, withFileTypes: true});
	const templates = entries
		.filter(entry => entry.isFile())
		.map(entry => relative(templatesFolder, join(entry.parentPath, entry.name)));
	const tree = new Map<string, {content: string; mode: number}>();
	for (const template of templates) {
		const path = template.replace(/\.mustache$/, '');
		const text = await readFile(join(templatesFolder, template), 'utf8');
		const content = fillTemplate(`templates/${template}`, text, view, escapingOf(path));
		// A template that is all one section makes a file where the section is.
		if (content !== '' || text === '') tree.set(path, {content, mode: modeOf(path)});
	}
	const machine = `${JSON.stringify(makeMachine(profile), undefined, '\t')}\n`;
	// Options, manifests and seeds may say what not every user of the machine may know.
	tree.set(`${folders.chroot}etc/bringup/machine.json`, {content: machine, mode: 0o600});
	return new Map([...tree].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Writes a tree into a folder. */
export async function writeTree(tree: FileTree, folder: string): Promise<void> {
	for (const [path, {content, mode}] of tree) {
		const file = join(folder, path);
		await mkdir(dirname(file), {recursive: true});
		await writeFile(file, content, {mode});
		await chmod(file, mode);
	}
}
