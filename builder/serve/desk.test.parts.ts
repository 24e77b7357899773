import {mkdir, mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {Desk} from './desk.ts';
import {Entries} from './entries.ts';
import {type OpenTree, openTree} from './trees.ts';

/** Two machines, as machines.yaml names them. */
export const machines = {
	'web-1': {mac: '52:54:00:62:75:01', profile: 'node', order: '1'},
	'nas-1': {serial: 'ABC-1', profile: 'node', order: '1'},
};

/** What a tree says of itself. */
export const description = {
	schema: 1 as const,
	method: 'image' as 'image' | 'debian-installer',
	profile: 'node',
	buildId: '0123456789abcdef',
	epoch: 0,
	title: 'Install node (Debian trixie)',
	bootWords: ['boot=live', 'console=ttyS0,115200'],
	layers: [
		{name: '10-base.squashfs', sha256: 'a'.repeat(64), size: 4},
		{name: '20-profile.squashfs', sha256: 'c'.repeat(64), size: 7},
	],
	machine: '{"identity": {}}',
};

/** Runs with a folder that goes after it. */
export async function inFolder<T>(use: (folder: string) => Promise<T>): Promise<T> {
	const folder = await mkdtemp(join(tmpdir(), 'bringup-serve-'));
	try {
		return await use(folder);
	} finally {
		await rm(folder, {recursive: true});
	}
}

/** A netboot tree on the disk; what is secret in it says so. */
export async function makeTree(folder: string, changes: Partial<typeof description> = {}): Promise<string> {
	const tree = {...description, ...changes};
	const files = {
		...{
			'bootx64.efi': 'shim',
			'grubx64.efi': 'grub',
			'mmx64.efi': 'mok',
			'bringup.pxe': 'pxe',
			'grub/grub.cfg': 'menu',
		},
		...(tree.method === 'image'
			? {'live/vmlinuz': 'linux', 'live/initrd.img': 'initrd'}
			: {'install/vmlinuz': 'linux', 'install/initrd.img': 'secret!', [`installer-${tree.buildId}/dists/x`]: 'list'}),
		[`live-${tree.buildId}/10-base.squashfs`]: 'base',
		[`live-${tree.buildId}/20-profile.squashfs`]: 'secret!',
		'tree.json': JSON.stringify(tree),
	};
	for (const [path, content] of Object.entries(files)) {
		await mkdir(join(folder, path, '..'), {recursive: true});
		await writeFile(join(folder, path), content);
	}
	return folder;
}

/** The network card of web-1, and the address that it has. */
export const own = {address: '192.0.2.101', mac: '52:54:00:62:75:01'};
/** Another card on the same wire. */
export const stranger = {address: '192.0.2.66', mac: '52:54:00:66:66:66'};
const wire = new Map([
	[own.address, own.mac],
	[stranger.address, stranger.mac],
	['192.0.2.9', '52:54:00:00:00:09'],
]);

/** Long enough for a test. */
export const times = {grant: 60_000, order: 3600_000};

interface Given {
	tree: OpenTree;
	said?: string[];
	given?: typeof machines;
	before?: OpenTree[];
	times?: typeof times;
}

/** A desk whose entries are in the folder. */
export function makeDesk(folder: string, {tree, said = [], given = machines, before = [], ...rest}: Given): Desk {
	return new Desk({
		address: '192.0.2.1:8080',
		stock: () => ({machines: given, trees: new Map([['node', tree]]), before}),
		entries: new Entries(join(folder, 'state')),
		findMac: async address => wire.get(address),
		makeOwn: async name => ({
			data: Buffer.from(`secret of ${name}`),
			sha256: 'b'.repeat(64),
			machine: '{"own":"secret"}',
		}),
		times: rest.times ?? times,
		onChange: (name, {state, failure}) => said.push([name, state, failure].filter(Boolean).join(' ')),
		tell: (_, line) => said.push(line),
	});
}

/** What a desk gives, as text. */
export async function read(desk: Desk, path: string, from = own.address): Promise<string | undefined> {
	const found = await desk.find(path, from);
	if (!found) return undefined;
	if ('text' in found) return String(found.text);
	return String((await found.handle.read(Buffer.alloc(found.size), 0, found.size, 0)).buffer);
}

/** Where web-1 asks for its menu. */
export const boot = '/boot/52:54:00:62:75:01/4c4c4544-0000-1000-8000-000000000001/XYZ';
/** The word that a menu gives. */
export const tokenOf = (menu = '') => /\/report\/web-1\/([0-9a-f]{32}) /.exec(menu)?.[1] ?? '';
/** Reports in the name of web-1. */
export const take = (desk: Desk, token: string, body: unknown, from = own.address) =>
	desk.take({machine: 'web-1', token, body}, from);

/** Runs with a folder and a tree in it. */
export async function withTree<T>(use: (folder: string, tree: OpenTree) => Promise<T>, changes = {}): Promise<T> {
	return inFolder(async folder => use(folder, await openTree(await makeTree(join(folder, 'tree'), changes))));
}
