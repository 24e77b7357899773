import {copyFile, mkdir, rm, writeFile} from 'node:fs/promises';
import {homedir} from 'node:os';
import {join, resolve} from 'node:path';
import type {ExecutionContext} from 'ava';
import {type Login, type Machine, makeDisk, startMachine} from '../builder/boot/machine.ts';
import type {DiskOptions, Firmware, MachineOptions} from '../builder/boot/qemu.ts';
import {run} from '../builder/run.ts';
import {makeWebImage} from './web-image.ts';

export {findPort} from '../builder/boot/machine.ts';

/** Where artefacts and machines of the tests are. */
export const folder = resolve('out/test');
export const evidence = resolve('out/evidence');

/** Where caches are. */
export const xdgCache = process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache');

/** For a build with a home of its own: where its cache is, and the key by which it believes what is in it. */
export const cacheEnv = {
	XDG_CACHE_HOME: xdgCache,
	BRINGUP_CACHE_KEY: join(process.env['XDG_DATA_HOME'] || join(homedir(), '.local/share'), 'bringup/cache-key'),
};

/** The cache of the person who runs the tests. */
export const userCache = join(xdgCache, 'bringup');

/** An ISO, and how to log in to what it installs. */
export interface Artefact {
	iso: string;
	login: Login;
}

/** Builds an ISO with the command of the README, for a person without an SSH key. */
export async function buildIso(
	profile: string,
	name = profile.replace(/^.*\//, '').replace(/\.yaml$/, ''),
	words: readonly string[] = [],
): Promise<Artefact> {
	const home = join(folder, 'home');
	await mkdir(home, {recursive: true});
	const iso = join(folder, `${name}.iso`);
	await run(['npm', 'run', 'build-iso', '--', '--profile', profile, '--out', iso, '--new-cluster', ...words], {
		env: {HOME: home, ...cacheEnv},
	});
	// SBOM, provenance and manifest are of this very ISO.
	await run(['node', 'dist/builder/cli.js', 'verify-artefact', iso, '--unsigned', '--max-age', '36500']);
	return {iso, login: {user: 'admin', key: join(folder, `${name}.ssh-key`)}};
}

/** What the profiles of the tests bring in the place of a registry's images and of a golden image. */
export async function makeAssets(): Promise<void> {
	const assets = join(folder, 'assets');
	await mkdir(assets, {recursive: true});
	await makeWebImage(join(assets, 'web.tar'), 'a page from a container\n', 'localhost/web:1');
	await makeWebImage(join(assets, 'k3s-images.tar'), 'pause\n', 'docker.io/rancher/mirrored-pause:3.6');
	await run(['qemu-img', 'create', '-q', '-f', 'qcow2', join(assets, 'golden.qcow2'), '64M']);
}

/** A machine of a test: what is told of it, and how it starts. */
export interface Setup {
	name: string;
	firmware: Firmware;
	disks: readonly DiskOptions[];
	cdrom?: string;
	cdromFirst?: boolean;
	sshPort?: number;
	memory?: number;
	overcommit?: boolean;
	cpus?: number;
	uuid?: string;
	wires?: NonNullable<MachineOptions['wires']>;
	kernel?: NonNullable<MachineOptions['kernel']>;
	tap?: NonNullable<MachineOptions['tap']>;
	mac?: string;
	/** Whether to go on with the firmware variables of the time before. */
	again?: boolean;
}

/** Starts a machine for a test; its evidence is kept and its power cut when the test is over. */
export async function startFor(t: ExecutionContext, {name, again, ...options}: Setup): Promise<Machine> {
	const own = join(folder, name);
	if (!again) await rm(own, {recursive: true, force: true});
	const machine = await startMachine({
		memory: 2048,
		mac: '52:54:00:62:75:01',
		isolated: true,
		snapshot: false,
		...options,
		folder: own,
	});
	t.log(`accelerator: ${machine.options.accelerator}`);
	t.teardown(async () => {
		await machine.keepEvidence(join(evidence, name));
		await machine.cut();
	});
	return machine;
}

/** What no machine may say. */
export const failure = /FAILED in phase|Kernel panic|emergency mode/;

/** Nor debian-installer: over each question its text frontend puts the title, underlined; nobody would answer. */
export const question = new RegExp(`${failure.source}|^-{4,}$`, 'm');

/** An empty disk for a test. */
export async function makeTestDisk(name: string, size: string, format: 'raw' | 'qcow2' = 'qcow2'): Promise<string> {
	const path = join(folder, name);
	await mkdir(folder, {recursive: true});
	await rm(path, {force: true});
	await makeDisk(path, size, format);
	return path;
}

/** A disk that nobody may write to: another system's, with the very partition that debian-installer would take for its own. */
export async function makeForeignDisk(name: string): Promise<{disk: DiskOptions; digest: string}> {
	const path = await makeTestDisk(name, '2G', 'raw');
	const table = 'label: gpt\nsize=1MiB, type=21686148-6449-6E6F-744E-656564454649\ntype=linux, name=photos\n';
	await run(['sfdisk', '--quiet', path], {input: table});
	return {disk: {path, format: 'raw', bus: 'virtio', serial: 'FOREIGN'}, digest: await digestDisk(path)};
}

/** The digest of a raw disk. */
export async function digestDisk(path: string): Promise<string> {
	return (await run(['sha256sum', path])).slice(0, 64);
}

/** The NVMe disks of a test by serial number, with their sizes; makeTestDisks makes them. */
export function listTestDisks(name: string, sizes: Readonly<Record<string, string>>): DiskOptions[] {
	return Object.keys(sizes).map(serial => {
		return {path: join(folder, `${name}-${serial}.qcow2`), format: 'qcow2', bus: 'nvme', serial};
	});
}

/** Makes these disks, empty. */
export async function makeTestDisks(name: string, sizes: Readonly<Record<string, string>>): Promise<void> {
	for (const [serial, size] of Object.entries(sizes)) await makeTestDisk(`${name}-${serial}.qcow2`, size);
}

/** A stick with the ISO on it: a copy, because the machine may write to it. */
export async function makeStick(iso: string, name: string): Promise<string> {
	const path = join(folder, name);
	await copyFile(iso, path);
	return path;
}

/** Keeps a text as evidence. */
export async function writeEvidence(name: string, text: string): Promise<void> {
	await mkdir(evidence, {recursive: true});
	await writeFile(join(evidence, name), text);
}
