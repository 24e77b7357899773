import {chmod, copyFile, mkdir, rename, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {withFolder} from '../folder.ts';
import {checkPrograms, start, UserError, withLock} from '../run.ts';
import type {Board} from './board.ts';
import {Desk} from './desk.ts';
import {checkLeases, findPlace, formatDnsmasq, type Place} from './dnsmasq.ts';
import {Entries} from './entries.ts';
import {type Log, makeTeller, openLog} from './log.ts';
import {formatFirstMenu} from './menus.ts';
import {findMac} from './neighbours.ts';
import type {Times} from './orders.ts';
import {startServer} from './server.ts';
import {Shelf} from './stock.ts';
import {makeOwnLayer, type OpenTree} from './trees.ts';

export interface ServeOptions {
	/** The link of this workstation that the machines are on. */
	link: string;
	/** Path of machines.yaml. */
	machines: string;
	port: number;
	/** First and last address to give; without them another DHCP server does. */
	leases: readonly [string, string] | undefined;
	/** Where orders, reports, leases and the log are kept. */
	state: string;
	/** Folders that build-pxe made. */
	trees: readonly string[];
	times: Times;
	signal: AbortSignal;
	/** $PATH. */
	searchPath: string;
	board: Board;
}

const loaders = ['bootx64.efi', 'grubx64.efi', 'mmx64.efi', 'bringup.pxe'];

/** Writes the folder that TFTP gives: what a network card fetches, and the menu that leads to us. Nothing of it is secret. */
async function writeTftpRoot(tree: OpenTree, address: string, root: string): Promise<void> {
	await mkdir(join(root, 'grub'), {recursive: true});
	for (const name of loaders) {
		const file = join(root, name);
		await copyFile(join(tree.folder, name), `${file}.new`);
		await chmod(`${file}.new`, 0o644); // dnsmasq reads it as a user of its own
		await rename(`${file}.new`, file);
	}
	await writeFile(join(root, 'grub/grub.cfg'), formatFirstMenu(address));
}

const largestLog = 10 * 2 ** 20;

/** How often it is looked whether machines.yaml or a tree is another (milliseconds), and how long a tree that is none any more is kept for a machine. */
const lookEvery = 2000;
const keepFor = 24 * 3600 * 1000;

interface Running extends ServeOptions {
	place: Place;
	/** The folder that TFTP gives. */
	root: string;
	shelf: Shelf;
	log: Log;
	say(line: string): void;
}

/** Takes machines.yaml and the trees as they are now. */
async function takeStock(desk: Desk, entries: Entries, {place, port, root, shelf, board}: Running): Promise<void> {
	const {machines, trees} = shelf.stock;
	const [first] = trees.values();
	if (first) await writeTftpRoot(first, `${place.address}:${port}`, root);
	board.keep(Object.keys(machines));
	for (const name of Object.keys(machines)) await desk.open(name).catch(error => board.say(error.message));
	const known = await Promise.all(Object.keys(machines).map(name => entries.read(name).catch(() => undefined)));
	const running = known.flatMap(entry => entry?.running ?? []);
	const isRecent = ({since}: {since: string}) => Date.now() - Date.parse(since) < keepFor;
	await shelf.release(tree => running.some(grant => grant.buildId === tree.buildId && isRecent(grant)));
}

/** Looks for changes until the signal ends it. What is wrong is said, and what was read before stays. */
async function watch(desk: Desk, entries: Entries, running: Running): Promise<void> {
	const {signal, shelf, say} = running;
	while (!signal.aborted) {
		await sleep(lookEvery, undefined, {signal}).catch(() => {});
		if (signal.aborted) return;
		try {
			if (!(await shelf.refresh())) continue;
			await takeStock(desk, entries, running);
			say('machines.yaml or a tree has changed, and is taken as it is now');
		} catch (error) {
			say(`${(error as Error).message}\nwhat was read before stays in use until this is mended`);
		}
	}
}

async function serveFrom(running: Running): Promise<void> {
	const {link, port, leases, place, root, state, signal, shelf, log, board, say, times} = running;
	const address = `${place.address}:${port}`;
	const entries = new Entries(state);
	const tell = makeTeller(say, line => log.write(`${line}\n`));
	const desk = new Desk({
		address,
		stock: () => shelf.stock,
		entries,
		findMac: from => findMac(from, link),
		makeOwn: (name, tree) => makeOwnLayer(name, tree, state),
		times,
		onChange: (name, entry) => {
			board.show(name, entry);
			log.write(`${name}: ${entry.state}${entry.failure ? `: ${entry.failure}` : ''}\n`);
		},
		tell,
	});
	await takeStock(desk, entries, running);
	const server = await startServer(place.address, port, {
		find: (path, from) => desk.find(path, from),
		take: (report, from) => desk.take(report, from),
		onFault: line => tell(line, line),
		connectionsEach: 32,
	});
	const configuration = join(root, '..', 'dnsmasq.conf');
	const leaseFile = join(state, 'leases');
	await writeFile(configuration, formatDnsmasq({link, place, port, root, leases, leaseFile}));
	const command = ['dnsmasq', '--keep-in-foreground', '--log-facility=-', `--conf-file=${configuration}`] as const;
	const dnsmasq = start(command, {onOutput: text => log.write(text)});
	const how = leases ? 'giving addresses' : 'beside the DHCP server of the network';
	say(`serving ${[...shelf.stock.trees.keys()].join(', ')} on ${link}: http://${address}, ${how}`);
	const stopped = new Promise<undefined>(resolve => signal.addEventListener('abort', () => resolve(undefined)));
	void watch(desk, entries, running);
	const ended = await Promise.race([dnsmasq.ended, stopped]);
	server.closeAllConnections();
	server.close();
	dnsmasq.kill('SIGTERM');
	await dnsmasq.ended;
	if (ended) throw new UserError(`dnsmasq ended by itself:\n${ended.output.trim().split('\n').slice(-5).join('\n')}`);
}

/**
 * Boots and installs machines over the network until the signal ends it. All that is kept lies in the state folder; what
 * TFTP gives lies where dnsmasq, which is not root, can read it. Throws a UserError when dnsmasq ends by itself.
 */
export async function serve(options: ServeOptions): Promise<void> {
	const {link, leases, state, board} = options;
	await checkPrograms(['dnsmasq', 'mksquashfs', 'ip', 'flock'], options.searchPath);
	const place = await findPlace(link);
	if (leases) checkLeases(leases, place);
	await mkdir(state, {recursive: true, mode: 0o700});
	const busy = `another bringup serve uses ${state}; end it, or say another folder with --state`;
	await withLock(join(state, '.lock'), busy, async () => {
		const shelf = new Shelf(options.machines, options.trees);
		const log = openLog(join(state, 'serve.log'), largestLog);
		const say = (line: string) => {
			board.say(line);
			log.write(`${line}\n`);
		};
		try {
			await shelf.refresh();
			await withFolder(process.getuid?.() === 0 ? '/run' : state, async work => {
				await chmod(work, 0o755);
				const root = join(work, 'tftp');
				await mkdir(root);
				await serveFrom({...options, place, root, shelf, log, say});
			});
		} finally {
			await shelf.close();
			log.close();
		}
	});
}
