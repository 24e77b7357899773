import {randomBytes} from 'node:crypto';
import {mkdir, open, readFile, rename} from 'node:fs/promises';
import {join} from 'node:path';
import * as z from 'zod';
import type {NetbootTree} from '../build/pxe.ts';
import {findMachine, type Identity, type Machines} from './machines.ts';
import {formatBootDisk, formatFirstMenu, formatInstall, formatUnknown} from './menus.ts';
import type {Report, Resource} from './server.ts';

/** A netboot tree, and where it is. */
export interface PlacedTree extends NetbootTree {
	folder: string;
}

/** What is known of one machine; a file of its own, for people too. */
export interface Entry {
	/** The order that was carried out last. */
	fulfilled?: string;
	/** The order under way, and the word that its reports carry. */
	running?: {order: string; token: string};
	state: 'known' | 'booting' | 'installing' | 'installed' | 'failed';
	at: string;
	/** Of a failure: where, and what was said. */
	failure?: string;
}

/** The part of a machine's status that is read here; the rest is kept as it came. */
const reported = z.looseObject({
	state: z.enum(['running', 'done', 'failed']),
	failures: z.array(z.looseObject({phase: z.string(), message: z.string()})).default([]),
});

/** What one machine has for itself: its machine.json, and the layer that holds it. */
export interface OwnLayer {
	file: string;
	size: number;
	sha256: string;
	machine: string;
}

export interface DeskOptions {
	/** Of the HTTP server, with its port. */
	address: string;
	machines: Machines;
	trees: ReadonlyMap<string, PlacedTree>;
	/** Where the entries are kept. */
	folder: string;
	/** The layer of each machine that gives it its name, by its name. */
	layers: ReadonlyMap<string, OwnLayer>;
	onChange(name: string, entry: Entry): void;
	onUnknown(identity: Identity): void;
}

const layerName = '30-machine.squashfs';

async function writeEntry(path: string, entry: object): Promise<void> {
	const file = await open(`${path}.new`, 'w', 0o600);
	await file.writeFile(`${JSON.stringify(entry, undefined, '\t')}\n`);
	await file.sync();
	await file.close();
	await rename(`${path}.new`, path);
}

/** Decides what each machine gets, and remembers what it was told and what it told. */
export class Desk {
	readonly #options: DeskOptions;
	readonly #files: ReadonlyMap<string, {file: string; size: number}>;

	constructor(options: DeskOptions, files: ReadonlyMap<string, {file: string; size: number}>) {
		this.#options = options;
		this.#files = files;
	}

	async readEntry(name: string): Promise<Entry> {
		const text = await readFile(join(this.#options.folder, `${name}.json`), 'utf8').catch(error => {
			if (error.code === 'ENOENT') return undefined;
			throw error;
		});
		return text === undefined ? {state: 'known', at: new Date().toISOString()} : (JSON.parse(text) as Entry);
	}

	async #change(name: string, entry: Omit<Entry, 'at'>): Promise<void> {
		const changed = {...entry, at: new Date().toISOString()};
		await mkdir(this.#options.folder, {recursive: true});
		await writeEntry(join(this.#options.folder, `${name}.json`), changed);
		this.#options.onChange(name, changed);
	}

	/** The menu of one machine. An order is begun here; it is carried out when the machine says so. */
	async #makeMenu(identity: Identity): Promise<string> {
		const {machines, trees, address, onUnknown} = this.#options;
		const name = findMachine(machines, identity);
		const machine = name === undefined ? undefined : machines[name];
		const tree = trees.get(machine?.profile ?? '');
		if (name === undefined || !machine || !tree) {
			onUnknown(identity);
			return formatUnknown(identity, address);
		}
		const {failure: _, ...entry} = await this.readEntry(name);
		if (entry.fulfilled === machine.order) return formatBootDisk(name, address);
		const before = entry.running?.order === machine.order ? entry.running.token : undefined;
		const token = before ?? randomBytes(16).toString('hex');
		await this.#change(name, {...entry, running: {order: machine.order, token}, state: 'booting'});
		return formatInstall(tree, name, identity.mac, address, token);
	}

	/** What a path gives. */
	async find(path: string): Promise<Resource | undefined> {
		if (path === '/grub/grub.cfg') return {text: formatFirstMenu(this.#options.address)};
		const boot = /^\/boot\/([0-9a-f:]{17})\/(?:-|([0-9a-fA-F-]{36}))(?:\/([\w.-]{1,64}))?$/.exec(path);
		if (boot) {
			const [, mac = '', uuid, serial] = boot;
			return {text: await this.#makeMenu({mac, serial, uuid: uuid?.toLowerCase()})};
		}
		const [, name = '', file = ''] = /^\/machines\/([a-z0-9-]+)\/([\w.-]+)$/.exec(path) ?? [];
		const machine = this.#options.machines[name];
		if (!machine) return this.#files.get(path);
		const tree = this.#options.trees.get(machine.profile);
		const own = this.#options.layers.get(name);
		if (file === 'SHA256SUMS' && tree && own) {
			const layers = [...tree.layers, {name: layerName, sha256: own.sha256}];
			return {text: layers.map(({name, sha256}) => `${sha256}  ${name}\n`).join('')};
		}
		if (file === layerName) return own;
		if (file === 'machine.json') return own && {text: own.machine};
		return tree && this.#files.get(`/trees/${machine.profile}/live-${tree.buildId}/${file}`);
	}

	/** Takes a report of a machine whose order is under way. */
	async take({machine: name, token, body}: Report): Promise<boolean> {
		const entry = Object.hasOwn(this.#options.machines, name) ? await this.readEntry(name) : undefined;
		const status = reported.safeParse(body);
		if (!entry || entry.running?.token !== token || !status.success) return false;
		const {
			state,
			failures: [failure],
		} = status.data;
		const {running, failure: _, ...rest} = entry;
		await writeEntry(join(this.#options.folder, `${name}.report.json`), status.data);
		if (state === 'done') await this.#change(name, {...rest, fulfilled: running.order, state: 'installed'});
		else if (state === 'running') await this.#change(name, {...rest, running, state: 'installing'});
		else {
			const said = failure ? `phase ${failure.phase}: ${failure.message}` : 'it did not say why';
			await this.#change(name, {...rest, running, state: 'failed', failure: said});
		}
		return true;
	}
}
