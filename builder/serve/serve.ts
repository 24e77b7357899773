import {chmod, copyFile, mkdir, readdir, readFile, stat, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join, relative, resolve} from 'node:path';
import {digestFile} from '../build/cache.ts';
import {buildLayer} from '../build/layer.ts';
import type {NetbootTree} from '../build/pxe.ts';
import {withFolder} from '../folder.ts';
import {checkPrograms, start, UserError} from '../run.ts';
import type {Board} from './board.ts';
import {Desk, type OwnLayer, type PlacedTree} from './desk.ts';
import {findPlace, formatDnsmasq} from './dnsmasq.ts';
import {loadMachines, type Machines} from './machines.ts';
import {formatFirstMenu} from './menus.ts';
import {startServer} from './server.ts';

export interface ServeOptions {
	/** The link of this workstation that the machines are on. */
	link: string;
	/** Path of machines.yaml. */
	machines: string;
	port: number;
	/** First and last address to give; without them another DHCP server does. */
	leases: readonly [string, string] | undefined;
	/** Where orders and reports are kept. */
	state: string;
	/** Folders that build-pxe made. */
	trees: readonly string[];
	signal: AbortSignal;
	/** $PATH. */
	searchPath: string;
	board: Board;
}

async function readTree(folder: string): Promise<PlacedTree> {
	const text = await readFile(join(folder, 'tree.json'), 'utf8').catch(error => {
		throw new UserError(`${folder} is no netboot tree; make one: bringup build-pxe --profile NAME`, {cause: error});
	});
	// A tree made before there were two methods is of the first.
	return {method: 'image', ...(JSON.parse(text) as Omit<NetbootTree, 'method'>), folder};
}

/** Every file of the trees that may be read, by the path that is asked for. Nothing else can be. */
async function listFiles(trees: Iterable<PlacedTree>): Promise<Map<string, {file: string; size: number}>> {
	const files = new Map<string, {file: string; size: number}>();
	for (const {folder, profile} of trees) {
		for (const entry of await readdir(folder, {recursive: true, withFileTypes: true})) {
			if (!entry.isFile()) continue;
			const file = join(entry.parentPath, entry.name);
			const path = relative(folder, file);
			const {size} = await stat(file);
			files.set(`/trees/${profile}/${path}`, {file, size});
			if (!path.includes('/') && !files.has(`/${path}`)) files.set(`/${path}`, {file, size});
		}
	}
	return files;
}

/** The layer by which a machine has its name. */
async function makeLayers(machines: Machines, trees: ReadonlyMap<string, PlacedTree>, folder: string) {
	const layers = new Map<string, OwnLayer>();
	for (const [name, {profile}] of Object.entries(machines)) {
		const tree = trees.get(profile) as PlacedTree;
		const machine = JSON.parse(tree.machine) as {identity: object};
		const own = {...machine, identity: {...machine.identity, hostname: name}};
		const content = `${JSON.stringify(own, undefined, '\t')}\n`;
		const file = join(folder, `${name}.squashfs`);
		await buildLayer(new Map([['etc/bringup/machine.json', {content, mode: 0o600}]]), file, tree.epoch);
		layers.set(name, {file, size: (await stat(file)).size, sha256: await digestFile(file), machine: content});
	}
	return layers;
}

const loaders = ['bootx64.efi', 'grubx64.efi', 'mmx64.efi', 'bringup.pxe'];

/** The folder that TFTP gives: what a network card fetches, and the menu that leads to us. */
async function makeTftpRoot(tree: PlacedTree, address: string, folder: string): Promise<void> {
	await mkdir(join(folder, 'grub'), {recursive: true});
	for (const name of loaders) await copyFile(join(tree.folder, name), join(folder, name));
	await writeFile(join(folder, 'grub/grub.cfg'), formatFirstMenu(address));
}

async function readTrees(folders: readonly string[]): Promise<Map<string, PlacedTree>> {
	const trees = new Map<string, PlacedTree>();
	for (const folder of folders) {
		const tree = await readTree(resolve(folder));
		if (trees.has(tree.profile)) throw new UserError(`two trees are of the profile ${tree.profile}; name one of them`);
		trees.set(tree.profile, tree);
	}
	return trees;
}

/** Boots and installs machines over the network until the signal ends it. Throws a UserError when dnsmasq ends by itself. */
export async function serve(options: ServeOptions): Promise<void> {
	const {link, port, leases, signal, board} = options;
	const say = (line: string) => board.say(line);
	await checkPrograms(['dnsmasq', 'ip', 'mksquashfs'], options.searchPath);
	const trees = await readTrees(options.trees);
	const machines = await loadMachines(options.machines, [...trees.keys()]);
	const place = await findPlace(link);
	const address = `${place.address}:${port}`;
	await withFolder(tmpdir(), async work => {
		await chmod(work, 0o755); // dnsmasq reads it as a user of its own
		const root = join(work, 'tftp');
		const [first] = [...trees.values()] as [PlacedTree];
		await makeTftpRoot(first, address, root);
		const desk = new Desk(
			{
				address,
				machines,
				trees,
				folder: options.state,
				layers: await makeLayers(machines, trees, work),
				onChange: (name, entry) => board.show(name, entry),
				onUnknown: ({mac, serial, uuid}) =>
					say(`unknown machine: mac ${mac}${serial ? `, serial ${serial}` : ''}${uuid ? `, uuid ${uuid}` : ''}`),
			},
			await listFiles(trees.values()),
		);
		const find = (path: string) => desk.find(path);
		const server = await startServer(place.address, port, {find, take: report => desk.take(report), onFault: say});
		const configuration = join(work, 'dnsmasq.conf');
		await writeFile(configuration, formatDnsmasq({link, place, port, root, leases, leaseFile: join(work, 'leases')}));
		const dnsmasq = start(['dnsmasq', '--keep-in-foreground', '--log-facility=-', `--conf-file=${configuration}`]);
		const how = leases ? 'giving addresses' : 'beside the DHCP server of the network';
		say(`serving ${[...trees.keys()].join(', ')} on ${link}: http://${address}, ${how}`);
		for (const name of Object.keys(machines)) board.show(name, await desk.readEntry(name));
		const stopped = new Promise<undefined>(resolve => signal.addEventListener('abort', () => resolve(undefined)));
		const ended = await Promise.race([dnsmasq.ended, stopped]);
		server.closeAllConnections();
		server.close();
		dnsmasq.kill('SIGTERM');
		if (ended) throw new UserError(`dnsmasq ended by itself:\n${ended.output.trim().split('\n').slice(-5).join('\n')}`);
	});
}
