import {randomBytes, timingSafeEqual} from 'node:crypto';
import * as z from 'zod';
import {UserError} from '../run.ts';
import type {Entries} from './entries.ts';
import {findMachine, type Identity, type Machines} from './machines.ts';
import {formatBootDisk, formatFirstMenu, formatInstall, formatRefusal, formatUnknown} from './menus.ts';
import {type Decision, decide, type Entry, type Grant, isOpen, type Times} from './orders.ts';
import type {Report, Resource} from './server.ts';
import type {OpenTree, OwnLayer} from './trees.ts';

/** The part of a machine's status that is read here; the rest is kept as it came. */
const reported = z.looseObject({
	state: z.enum(['running', 'done', 'failed']),
	failures: z.array(z.looseObject({phase: z.string(), message: z.string()})).default([]),
});

/** What there is to give, as machines.yaml and the trees say it now. */
export interface Stock {
	machines: Machines;
	/** By profile. */
	trees: ReadonlyMap<string, OpenTree>;
	/** Those that another one took the place of, and that machines still install themselves from. */
	before: readonly OpenTree[];
}

export interface DeskOptions {
	/** Of the HTTP server, with its port. */
	address: string;
	stock(): Stock;
	entries: Entries;
	/** The network card that an address belongs to, as the wire has shown it. */
	findMac(address: string): Promise<string | undefined>;
	/** The layer that gives a machine its name. */
	makeOwn(name: string, tree: OpenTree): Promise<OwnLayer>;
	times: Times;
	onChange(name: string, entry: Entry): void;
	/** What a person must know; `about` is the same for lines that say the same again. */
	tell(about: string, line: string): void;
}

const layerName = '30-machine.squashfs';
/** A request is noted when the last one that was is so old (milliseconds). */
const noteAfter = 60_000;

const hexadecimal = /^[0-9a-f]{32}$/;
const longest = 2000;

const isSame = (a: string, b: string) => a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b));

const formatTime = (time: number) => `${new Date(time).toISOString().slice(0, 16).replace('T', ' ')} UTC`;

/** Decides what each machine gets, and remembers what it was told and what it told. */
export class Desk {
	readonly #options: DeskOptions;
	readonly #own = new WeakMap<OpenTree, Map<string, Promise<OwnLayer>>>();

	constructor(options: DeskOptions) {
		this.#options = options;
	}

	#findTree(profile: string, buildId: string): OpenTree | undefined {
		const {trees, before} = this.#options.stock();
		return [...trees.values(), ...before].find(tree => tree.profile === profile && tree.buildId === buildId);
	}

	async #change(name: string, next: (entry: Entry) => Entry | undefined, report?: object): Promise<boolean> {
		const entry = await this.#options.entries.change(name, next, report);
		if (entry) this.#options.onChange(name, entry);
		return entry !== undefined;
	}

	/** Notes since when an order is open; and shows what is known of the machine. */
	async open(name: string): Promise<void> {
		const order = this.#options.stock().machines[name]?.order ?? '';
		const opened = {order, at: new Date().toISOString()};
		const isNew = (entry: Entry) => entry.fulfilled !== order && entry.opened?.order !== order;
		const changed = await this.#change(name, entry => (isNew(entry) ? {...entry, opened} : undefined));
		if (!changed) this.#options.onChange(name, await this.#options.entries.read(name));
	}

	#refuse(name: string, {why, until}: Extract<Decision, {do: 'refuse'}>, from: string): string {
		const {tell, address} = this.#options;
		const lines = {
			busy: [
				`${name}: its install is under way, and was begun by a boot before this one`,
				`it begins again at ${formatTime(until)}, or with another order in machines.yaml`,
			],
			closed: [
				`${name}: nobody began its order until ${formatTime(until)}, so that it is closed`,
				'give it another order in machines.yaml',
			],
		}[why];
		tell(`${why} ${name}`, `${lines.join('; ')} (asked from ${from})`);
		return formatRefusal(lines, address);
	}

	/** The menu of one machine. An order is begun here; it is carried out when the machine says so. */
	async #makeMenu(identity: Identity, from: string): Promise<string> {
		const {address, tell, findMac, stock, times} = this.#options;
		const seen = await findMac(from);
		if (seen !== identity.mac) {
			tell(
				`claim ${from}`,
				`${from} (${seen ?? 'not on this link'}) says that it is ${identity.mac}, and gets nothing`,
			);
			return formatRefusal([`${identity.mac} is not the network card that asks`], address);
		}
		const {machines, trees} = stock();
		const name = findMachine(machines, identity);
		const machine = name === undefined ? undefined : machines[name];
		const tree = trees.get(machine?.profile ?? '');
		if (name === undefined || !machine || !tree) {
			const {mac, serial, uuid} = identity;
			const words = [`mac ${mac}`, ...(serial ? [`serial ${serial}`] : []), ...(uuid ? [`uuid ${uuid}`] : [])];
			tell(`unknown ${mac}`, `unknown machine: ${words.join(', ')}`);
			return formatUnknown(identity, address);
		}
		const {order, profile} = machine;
		const [now, token] = [Date.now(), randomBytes(16).toString('hex')];
		let decision: Decision = {do: 'boot its disk'};
		await this.#change(name, ({failure: _, ...entry}) => {
			decision = decide({...entry}, order, now, times, id => this.#findTree(profile, id) !== undefined);
			if (decision.do !== 'install') return undefined;
			const at = new Date(now).toISOString();
			const {mac} = identity;
			const running = {order, token, mac, buildId: tree.buildId, since: at, seen: at, used: false, closed: false};
			if (entry.running?.order === order && entry.running.used)
				tell(`again ${name} ${at}`, `${name} begins its install again: what it was given before is void`);
			const opened = entry.opened?.order === order ? entry.opened : {order, at};
			return {...entry, opened, running, state: 'booting', at};
		});
		const made = decision as Decision;
		if (made.do === 'refuse') return this.#refuse(name, made, `${from}, ${seen}`);
		return made.do === 'install'
			? formatInstall(tree, name, identity.mac, address, token)
			: formatBootDisk(name, address);
	}

	/** The grant of a token, for the network card that it was given to and for no other. */
	async #findGrant(name: string, token: string, from: string): Promise<Grant | undefined> {
		const {stock, entries, findMac, tell} = this.#options;
		const {machines} = stock();
		const machine = Object.hasOwn(machines, name) ? machines[name] : undefined;
		if (!machine || !hexadecimal.test(token)) return undefined;
		const {running} = await entries.read(name);
		if (!running || running.order !== machine.order || !isSame(running.token, token)) return undefined;
		const seen = await findMac(from);
		if (seen === running.mac) return running;
		tell(`stolen ${name} ${from}`, `${from} (${seen ?? 'not on this link'}) has the word of ${name}, and gets nothing`);
		return undefined;
	}

	/** Notes that a machine still asks. */
	async #note(name: string, grant: Grant): Promise<Grant> {
		const now = Date.now();
		if (now - Date.parse(grant.seen) < noteAfter || !isOpen(grant, now, this.#options.times)) return grant;
		const seen = new Date(now).toISOString();
		const noted = await this.#options.entries.change(name, entry =>
			entry.running?.token === grant.token ? {...entry, running: {...entry.running, seen}} : undefined,
		);
		return noted?.running ?? grant;
	}

	/** Gives something secret once the grant is marked as used: another one is not given then. */
	async #giveSecret(
		name: string,
		grant: Grant,
		give: () => Promise<Resource> | Resource,
	): Promise<Resource | undefined> {
		if (!isOpen(grant, Date.now(), this.#options.times)) return undefined;
		if (!grant.used) {
			const isSameGrant = (entry: Entry) => entry.running?.token === grant.token;
			const marked = await this.#options.entries.change(name, entry =>
				entry.running && isSameGrant(entry) ? {...entry, running: {...entry.running, used: true}} : undefined,
			);
			if (!marked) return undefined; // another boot was given a word in this moment
		}
		return give();
	}

	#makeOwn(name: string, tree: OpenTree): Promise<OwnLayer> {
		const known = this.#own.get(tree) ?? new Map<string, Promise<OwnLayer>>();
		this.#own.set(tree, known);
		const own = known.get(name) ?? this.#options.makeOwn(name, tree);
		known.set(name, own);
		own.catch(() => known.delete(name)); // the next one tries again; this one is told
		return own;
	}

	/** A file of a machine, by its grant. */
	async #findFile(name: string, file: string, grant: Grant): Promise<Resource | undefined> {
		const tree = this.#findTree(this.#options.stock().machines[name]?.profile ?? '', grant.buildId);
		if (!tree) return undefined;
		const isImage = tree.method === 'image';
		const boot = isImage ? 'live' : 'install';
		const own = () => this.#makeOwn(name, tree);
		const secret = (give: () => Promise<Resource> | Resource) => this.#giveSecret(name, grant, give);
		const given = (path: string) => tree.files.get(path);
		if (file === 'vmlinuz') return given(`${boot}/vmlinuz`);
		if (file === 'initrd.img') {
			// Of an image it is Debian's own; of debian-installer it holds all that is the profile's.
			const initrd = given(`${boot}/initrd.img`);
			return isImage ? initrd : initrd && secret(() => initrd);
		}
		if (!isImage) {
			if (file === 'machine.json') return secret(async () => ({text: (await own()).machine}));
			return file.startsWith(`installer-${tree.buildId}/`) ? given(file) : undefined;
		}
		if (file === 'SHA256SUMS')
			return secret(async () => {
				const layers = [...tree.layers, {name: layerName, sha256: (await own()).sha256}];
				return {text: layers.map(({name, sha256}) => `${sha256}  ${name}\n`).join('')};
			});
		if (file === layerName) return secret(async () => ({text: (await own()).data}));
		const layer = tree.layers.some(({name}) => name === file) ? given(`live-${tree.buildId}/${file}`) : undefined;
		return layer && secret(() => layer);
	}

	/** What a path gives to an address. */
	async find(path: string, from: string): Promise<Resource | undefined> {
		if (path === '/grub/grub.cfg') return {text: formatFirstMenu(this.#options.address)};
		const boot = /^\/boot\/([0-9a-f:]{17})\/(?:-|([0-9a-fA-F-]{36}))(?:\/([\w.-]{1,64}))?$/.exec(path);
		if (boot) {
			const [, mac = '', uuid, serial] = boot;
			const identity = {mac, serial, uuid: uuid?.toLowerCase()};
			return {text: await this.#makeMenu(identity, from).catch(error => this.#excuse(error))};
		}
		const [, name = '', token = '', file = ''] = /^\/machines\/([a-z0-9-]+)\/([0-9a-f]{32})\/(.+)$/.exec(path) ?? [];
		if (name !== '') {
			const grant = await this.#findGrant(name, token, from);
			return grant && this.#findFile(name, file, await this.#note(name, grant));
		}
		const [first] = this.#options.stock().trees.values();
		return /^\/[\w.-]+\.efi$/.test(path) || path === '/bringup.pxe' ? first?.files.get(path.slice(1)) : undefined;
	}

	/** What a machine is shown whose files here are not right. */
	#excuse(error: unknown): string {
		if (!(error instanceof UserError)) throw error;
		this.#options.tell(error.message, error.message);
		return formatRefusal(
			['the server cannot tell what this machine gets; it says why on its own screen'],
			this.#options.address,
		);
	}

	/** Takes a report of a machine whose order is under way. */
	async take({machine: name, token, body}: Report, from: string): Promise<boolean> {
		const status = reported.safeParse(body);
		const grant = status.success ? await this.#findGrant(name, token, from) : undefined;
		if (!status.success || !grant) return false;
		const {
			state,
			failures: [failure],
		} = status.data;
		const said = failure ? `phase ${failure.phase}: ${failure.message}`.slice(0, longest) : 'it did not say why';
		return this.#change(
			name,
			({running, failure: _, ...rest}) => {
				if (running?.token !== token) return undefined;
				const now = {...rest, at: new Date().toISOString()};
				if (state === 'done') return {...now, fulfilled: running.order, state: 'installed'};
				// It runs from what it fetched, and needs nothing more that is secret.
				const closed = {...now, running: {...running, closed: true}};
				return state === 'running' ? {...closed, state: 'installing'} : {...closed, state: 'failed', failure: said};
			},
			status.data,
		);
	}
}
