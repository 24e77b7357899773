import {randomUUID} from 'node:crypto';
import {readFile, rm, stat} from 'node:fs/promises';
import {join} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {isDeepStrictEqual} from 'node:util';
import {parseSize, renderSeed} from '../../firstboot/sequence.ts';
import {findPort, type Login, type Machine} from '../boot/machine.ts';
import type {DiskOptions, Firmware} from '../boot/qemu.ts';
import type {CompleteProfile} from '../profile/complete.ts';
import type {Update} from '../progress.ts';
import {run, UserError} from '../run.ts';
import type {Artefact} from './formats.ts';
import {type Bench, failure, listFirmwares, withMachine} from './machines.ts';
import {type SeedFormat, writeSeedIso} from './seed.ts';

/** A clone of the image under proof. */
interface Clone {
	name: string;
	firmware: Firmware;
	/** The bus of its disk, at its first boot and at its second. */
	buses: readonly [DiskOptions['bus'], DiskOptions['bus']];
	seed: SeedFormat;
	/** What its firmware tells: one a UUID, of which systemd makes the machine-id, the other none. */
	uuid: string;
	/** Of the link that leads to this workstation, and of the one between the clones. */
	macs: readonly [string, string];
	address: string;
	disk: string;
	iso: string;
}

/** What a clone says of itself. */
interface Identity {
	hostname: string;
	machineId: string;
	/** One line for each kind, sorted. */
	hostKeys: readonly string[];
	/** What DHCP servers know it by. */
	clientIds: string;
}

/** Of a clone, in MiB. */
export const memoryOf = ({kubernetes}: CompleteProfile['fields']) => (kubernetes ? 2048 : 1024);

/** Disk and seed of a clone, as whoever takes the image would make them. */
async function makeClone(image: string, format: string, bytes: number, clone: Clone, key: string): Promise<void> {
	await run(['qemu-img', 'create', '-q', '-f', 'qcow2', '-b', image, '-F', format, clone.disk, String(bytes)]);
	const common = {floating: [], antiSpoofing: true, dns: [], network: '', device: ''};
	const seed = renderSeed(
		{
			name: clone.name,
			seed: {users: [{name: 'proof', sshKeys: [key], sudo: true, groups: []}], files: {}},
			links: [
				{...common, mac: clone.macs[0], addresses: []},
				{...common, mac: clone.macs[1], addresses: [`${clone.address}/24`]},
			],
		},
		new Map(),
	);
	if (seed) await writeSeedIso(seed, clone.seed, clone.iso);
}

async function readIdentity(machine: Machine, login: Login): Promise<Identity> {
	const ask = (...command: string[]) => machine.run(login, command);
	return {
		hostname: (await ask('hostname')).trim(),
		machineId: (await ask('cat', '/etc/machine-id')).trim(),
		hostKeys: (await ask('ssh-keyscan', '-q', '-T', '30', '127.0.0.1')).split('\n').filter(Boolean).sort(),
		clientIds: await ask('sudo', 'grep', '--recursive', '--no-filename', '^CLIENTID=', '/run/systemd/netif/leases'),
	};
}

function expect(right: boolean, what: string): void {
	if (!right) throw new UserError(`a clone is not what it should be: ${what}`);
}

/** Waits until a clone is provisioned, and looks at all that is its own. */
async function checkClone(machine: Machine, login: Login, clone: Clone, bytes: number): Promise<Identity> {
	await machine.waitFor(/bringup: provision done.*/, 1800, failure);
	const ask = (...command: string[]) => machine.run(login, command);
	// Both exit with another status than 0 where a part of the seed is not right, or could not be done.
	await ask('sudo', 'cloud-init', 'schema', '--system');
	await ask('timeout', '1800', 'cloud-init', 'status', '--wait', '--long');
	const failed = await ask('systemctl', 'list-units', '--state=failed', '--no-legend', '--plain');
	expect(failed.trim() === '', `services have failed: ${failed.trim()}`);
	const size = Number(
		(
			await ask('lsblk', '--nodeps', '--noheadings', '--bytes', '--output', 'SIZE', '/dev/disk/by-label/bringup-root')
		).trim(),
	);
	expect(size > bytes, `its root has not grown with its disk, and is of ${size} bytes`);
	const blocks = Number((await ask('stat', '--file-system', '--format=%b', '/')).trim()) * 4096;
	expect(blocks > size * 0.9, `its file system has not grown with its disk, and is of ${blocks} bytes`);
	const identity = await readIdentity(machine, login);
	expect(identity.hostname === clone.name, `its name is ${identity.hostname}, and its seed says ${clone.name}`);
	expect(/^[0-9a-f]{32}$/.test(identity.machineId), `its machine-id is "${identity.machineId}"`);
	return identity;
}

async function waitForSocket(path: string): Promise<void> {
	for (let tries = 0; tries < 300; tries++) {
		if (await stat(path).catch(() => undefined)) return;
		await sleep(100);
	}
	throw new Error(`QEMU did not open ${path} within 30 s`);
}

/** Starts both clones at once and does something with them. */
async function withClones<T>(
	clones: readonly [Clone, Clone],
	memory: number,
	boot: 0 | 1,
	key: string,
	bench: Bench,
	use: (machines: [Machine, Login][]) => Promise<T>,
): Promise<T> {
	const socket = join(bench.work, 'wire.sock');
	await rm(socket, {force: true});
	const ports = [await findPort(), await findPort()];
	const start = <R>(index: 0 | 1, then: (machine: Machine) => Promise<R>) => {
		const {name, firmware, buses, disk: path, iso, macs, uuid} = clones[index];
		const disk = {
			path,
			format: 'qcow2',
			bus: buses[boot],
			serial: name.toUpperCase(),
			unsafe: true,
			bootIndex: 0,
		} as const;
		const wires = [{mac: macs[1], socket, listen: index === 0}];
		const given = {
			name: `${name}-${boot + 1}`,
			cpus: 1,
			firmware,
			disk,
			cdrom: iso,
			mac: macs[0],
			sshPort: ports[index] ?? 0,
		};
		return withMachine({...given, wires, uuid, memory}, bench, then);
	};
	const login = {user: 'proof', key};
	return start(0, async first => {
		await waitForSocket(socket); // who connects before it is there is without a wire for good
		return start(1, second =>
			use([
				[first, login],
				[second, login],
			]),
		);
	});
}

/** Throws unless the two are different machines, and each the same at both boots. */
function compare(first: readonly Identity[], second: readonly Identity[]): string[] {
	const [a, b] = first;
	if (!a || !b) throw new Error('there are not two clones');
	for (const name of ['hostname', 'machineId', 'clientIds'] as const)
		expect(a[name] !== b[name], `both clones have the same ${name}: ${a[name]}`);
	const shared = a.hostKeys.filter(key => b.hostKeys.includes(key));
	expect(a.hostKeys.length >= 3 && shared.length === 0, `both clones have the same host key: ${shared.join(', ')}`);
	for (const [index, one] of second.entries())
		for (const name of ['hostname', 'machineId', 'clientIds', 'hostKeys'] as const) {
			const [was, is] = [first[index]?.[name], one[name]];
			expect(
				isDeepStrictEqual(was, is),
				`${one.hostname} has another ${name} at its second boot: ${is}, and before ${was}`,
			);
		}
	return ['names, machine-ids, host keys and DHCP identities differ', 'a second boot keeps them'];
}

/**
 * Boots two clones of an image at once on one segment, with different seeds, firmware, disk buses and kinds of seed; and
 * both again. Throws when one of them is not its own machine, with its disk grown and every service well.
 */
export async function proveImage(
	profile: CompleteProfile,
	image: {path: string; format: Artefact['format']},
	bench: Bench,
	update: Update,
): Promise<string[]> {
	const firmwares = listFirmwares(profile.fields);
	const size = parseSize(profile.fields.image?.size ?? '');
	const grown = 2 * size;
	const clone = (index: 0 | 1, others: Pick<Clone, 'firmware' | 'buses' | 'seed' | 'uuid'>): Clone => {
		const name = `clone-${index + 1}`;
		const macs = [`52:54:00:62:76:0${index}`, `52:54:00:62:77:0${index}`] as const;
		const [disk, iso] = [join(bench.work, `${name}.qcow2`), join(bench.work, `${name}-seed.iso`)];
		return {...others, name, macs, address: `192.0.2.${index + 1}`, disk, iso};
	};
	const clones = [
		clone(0, {firmware: firmwares[0], buses: ['scsi', 'nvme'], seed: 'nocloud', uuid: randomUUID()}),
		clone(1, {
			firmware: firmwares.at(-1) ?? firmwares[0],
			buses: ['virtio', 'scsi'],
			seed: 'configdrive',
			uuid: 'none',
		}),
	] as const;
	const key = join(bench.work, 'proof-key');
	await run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', 'proof', '-f', key]);
	const publicKey = (await readFile(`${key}.pub`, 'utf8')).trim();
	for (const one of clones) await makeClone(image.path, image.format, grown, one, publicKey);
	const boot = (time: 0 | 1) =>
		withClones(clones, memoryOf(profile.fields), time, key, bench, async machines => {
			update(`two clones boot${time === 0 ? '' : ' again'}`, time / 2);
			const identities = await Promise.all(
				machines.map(([machine, login], index) => checkClone(machine, login, clones[index] as Clone, size)),
			);
			for (const [index, [machine, login]] of machines.entries())
				await machine.run(login, ['sudo', 'ping', '-c', '3', '-W', '10', clones[index === 0 ? 1 : 0].address]);
			await Promise.all(machines.map(([machine]) => machine.powerOff(300)));
			return identities;
		});
	const first = await boot(0);
	const said = compare(first, await boot(1));
	const hardware = clones.map(
		({firmware, buses, seed}) => `booted under ${firmware} from ${buses.join(' and ')}, seed ${seed}`,
	);
	return [...hardware, ...said, 'they reach each other', 'disk and file system have grown', 'no service has failed'];
}
