import {readFile, rm, statfs} from 'node:fs/promises';
import {freemem} from 'node:os';
import {basename, dirname, join} from 'node:path';
import {type Image, parseSize} from '../../firstboot/sequence.ts';
import {findAccelerator} from '../boot/accel.ts';
import {makeDisk} from '../boot/machine.ts';
import {makeIso} from '../build/build.ts';
import {digestFile} from '../build/cache.ts';
import {listDifference} from '../build/difference.ts';
import {readVersions} from '../build/maker.ts';
import type {Manifest} from '../build/manifest.ts';
import {withOutput} from '../build/output.ts';
import type {PartsOptions} from '../build/parts.ts';
import {parseJson, placeFiles, withFolder} from '../folder.ts';
import type {CompleteProfile} from '../profile/complete.ts';
import type {Update} from '../progress.ts';
import type {FileTree} from '../render/tree.ts';
import {checkPrograms, run, UsageError, UserError} from '../run.ts';
import {attestImage, checkKeys, endings, type Keys} from './attest.ts';
import {listOthers} from './contents.ts';
import {type Artefact, makeFormats} from './formats.ts';
import {findRoot, inspectSeal, readFromRoot} from './inspect.ts';
import {type Bench, emulatorFault, listFirmwares, runToEnd, withMachine} from './machines.ts';
import {readImageManifest} from './manifest.ts';
import {memoryOf, proveImage} from './prove.ts';
import {readRecipe} from './recipe.ts';
import {makeSbom, parseStatus} from './sbom.ts';
import {verifyArtefact} from './verify.ts';

export interface BakeOptions extends PartsOptions {
	/** The path of the image without its ending; each format and the manifest add their own. */
	out: string;
	keys: Keys;
}

/** The programs that a bake runs beside those of a build. */
const programs = ['qemu-system-x86_64', 'qemu-img', 'sfdisk', 'debugfs', 'ssh', 'ssh-keygen', 'xorriso'];

/** Throws before anything slow when there is no room for the disk and the image, or no memory for the two clones. */
async function checkRoom(profile: CompleteProfile, folder: string): Promise<void> {
	const {bavail, bsize} = await statfs(folder);
	const [needed, free] = [parseSize(imageOf(profile).size), bavail * bsize];
	const inGiB = (bytes: number) => (bytes / 2 ** 30).toFixed(1);
	if (free < needed)
		throw new UserError(
			`${folder} has ${inGiB(free)} GiB free, and a bake may take ${inGiB(needed)} (image.size); free some, or choose another place with --out`,
		);
	const [memory, available] = [2 * memoryOf(profile.fields) * 2 ** 20, freemem()];
	if (available < memory)
		throw new UserError(
			`this workstation has ${inGiB(available)} GiB of memory free, and two machines at once need ${inGiB(memory)}; end what takes it, or bake elsewhere`,
		);
}

/** Boots the medium on an empty disk, until the installed system would boot; again, on another empty disk, where only the emulator failed. */
async function install(profile: CompleteProfile, iso: string, disk: string, bench: Bench, options: BakeOptions) {
	const [firmware] = listFirmwares(profile.fields);
	const drive = {path: disk, format: 'raw', bus: 'virtio', serial: 'BRINGUP-BAKE', unsafe: true} as const;
	const given = {name: 'install', firmware, disk: drive, cdrom: iso, cdromFirst: true, once: true};
	const emulated = (await findAccelerator()) === 'tcg';
	const boot = async (update: Update, tries: number): Promise<void> => {
		await makeDisk(disk, String(parseSize(imageOf(profile).size)), 'raw');
		await withMachine(given, bench, machine => runToEnd(machine, /bringup: install done/, 60, update)).catch(error => {
			if (emulated && tries > 1 && emulatorFault.test(error.message)) {
				options.progress.say('QEMU without KVM failed the machine (Oops: int3): it installs anew');
				return boot(update, tries - 1);
			}
			if (!(error instanceof UserError) || !error.message.includes('No space left on device')) throw error;
			const remedy = 'what the profile holds does not fit on the disk; make image.size larger';
			throw new UserError(`${error.message}\n${remedy}`, {cause: error});
		});
	};
	await options.progress.stage('install', update => boot(update, 3));
	// Of a try that failed.
	await rm(bench.evidence, {recursive: true, force: true});
}

/** The phases that a template may run, and those alone. */
const isPrepared = ({containers, kubernetes}: CompleteProfile['fields']) => Boolean(containers ?? kubernetes);

/** Units that would leave on the disk what clones must not share, after the system is sealed. */
const masked = ['systemd-journal-flush', 'systemd-random-seed', 'systemd-update-utmp', 'systemd-machine-id-commit'];

/** Boots the disk once, for the phases that a template may run; the kernel is started directly, because no boot menu has this entry. */
async function prepare(iso: string, disk: string, bench: Bench, options: BakeOptions): Promise<void> {
	const [image, initrd] = [join(bench.work, 'vmlinuz'), join(bench.work, 'initrd.img')];
	const extract = ['-extract', '/live/vmlinuz', image, '-extract', '/live/initrd.img', initrd];
	await run(['xorriso', '-osirrox', 'on', '-indev', iso, ...extract]);
	const append = [
		...['root=LABEL=bringup-root', 'rw', 'console=ttyS0,115200', 'norandmaps', 'bringup.template'],
		...['systemd.unit=bringup-template.target', ...masked.map(unit => `systemd.mask=${unit}.service`)],
	].join(' ');
	const drive = {path: disk, format: 'raw', bus: 'virtio', serial: 'BRINGUP-BAKE', unsafe: true} as const;
	const given = {
		name: 'template',
		firmware: 'bios',
		cpus: 1,
		disk: drive,
		kernel: {image, initrd, append},
		once: true,
	} as const;
	await options.progress.stage('template', update =>
		withMachine(given, bench, machine => runToEnd(machine, /bringup: template done/, 60, update)),
	);
}

/** Whether the image of this recipe stands there already, proven, every byte of it and of what is beside it. */
async function isThere(out: string, recipe: string): Promise<boolean> {
	const manifest = await readImageManifest(out);
	if (manifest?.recipe !== recipe || manifest.proof.length === 0) return false;
	return verifyArtefact(`${out}${endings.sums}`).then(
		({files}) => files.includes(basename(`${out}${endings.manifest}`)),
		() => false,
	);
}

/** Makes the disk of an image and takes what stands in it: installed, prepared, sealed, looked at. */
async function makeSealed(profile: CompleteProfile, iso: string, disk: string, bench: Bench, options: BakeOptions) {
	await install(profile, iso, disk, bench, options);
	if (isPrepared(profile.fields)) await prepare(iso, disk, bench, options);
	return options.progress.stage('seal', async update => {
		const root = await findRoot(disk);
		await inspectSeal(root, bench.work);
		update('looked at from outside: nothing that clones would share');
		return String(await readFromRoot(root, '/var/lib/dpkg/status', bench.work));
	});
}

/** Signs an image that is there already, where there is a key. */
async function signAgain(out: string, keys: Keys): Promise<void> {
	const manifest = (keys.signing ?? keys.provenance) ? await readImageManifest(out) : undefined;
	if (!manifest) return;
	await attestImage(manifest, {stem: out, sbom: await readFile(`${out}${endings.sbom}`, 'utf8'), keys});
}

/** The section image. Throws a UsageError where the profile is of a machine. */
export function imageOf({fields: {image}, name}: CompleteProfile): Image {
	if (image) return image;
	throw new UsageError(`the profile ${name} is of a machine, and not of a golden image: it has no section image`);
}

/** The first format that a virtual machine here boots from: the very file that is published, where there is one. */
function findBootable(formats: readonly Artefact[], work: string, disk: string) {
	const found = formats.find(({format}) => format !== 'ova');
	return found ? {path: join(work, found.file), format: found.format} : {path: disk, format: 'raw' as const};
}

/**
 * Bakes the golden image of a profile: its medium installs a virtual machine, which is sealed, packed, and proven by two
 * clones of it. Nothing is put in its place that was not proven. Does nothing when the image of this build is there.
 */
export async function bakeImage(
	profile: CompleteProfile,
	tree: FileTree,
	options: BakeOptions,
): Promise<{buildId: string; made: boolean}> {
	const {out, searchPath} = options;
	imageOf(profile);
	await checkPrograms(programs, searchPath);
	await checkKeys(options.keys, dirname(out));
	await checkRoom(profile, dirname(out));
	return withOutput(`${out}.iso`, options, () => makeImage(profile, tree, options));
}

/** The same, while nobody else makes it. */
async function makeImage(
	profile: CompleteProfile,
	tree: FileTree,
	options: BakeOptions,
): Promise<{buildId: string; made: boolean}> {
	const {out, progress, signal} = options;
	const [image, iso] = [imageOf(profile), `${out}.iso`];
	const {digest: recipe, packages} = await readRecipe(profile, tree, options);
	const {buildId} = await makeIso(profile, tree, {...options, iso, refresh: false});
	const medium = parseJson<Manifest>(await readFile(`${out}.manifest.json`, 'utf8'));
	if (!medium) throw new UserError(`${out}.manifest.json is damaged; remove it, and bake again`);
	if (listDifference(packages, medium.packages).length > 0)
		throw new UserError('the package lists were renewed by another build at this moment; bake again');
	if (await isThere(out, recipe)) {
		await signAgain(out, options.keys);
		return {buildId, made: false};
	}
	const evidence = `${out}.evidence`;
	await rm(evidence, {recursive: true, force: true});
	const profileDigest = await digestFile(profile.path);
	await withFolder(dirname(out), async work => {
		const [bench, disk, stem] = [{work, evidence, signal}, join(work, 'disk.raw'), join(work, basename(out))];
		const {machine, kubernetes} = profile.fields;
		const hardware = {uefi: !machine.firmware.includes('bios'), memory: kubernetes ? 4096 : 2048};
		const status = await makeSealed(profile, iso, disk, bench, options);
		const formats = await progress.stage('pack', update => makeFormats(image, disk, stem, {update, signal, hardware}));
		const bootable = findBootable(formats, work, disk);
		const proof = await progress.stage('prove', update => proveImage(profile, bootable, bench, update));
		const [{file: artefact, sha256, size}] = formats;
		const tools = {...medium.tools, ...(await readVersions(['qemu-system-x86', 'qemu-utils', 'ovmf', 'seabios']))};
		const made = {artefact, sha256, size, seconds: progress.seconds, tools, formats, recipe, proof, profileDigest};
		const virtualSize = parseSize(image.size);
		const manifest = {...medium, ...made, virtualSize, accelerator: await findAccelerator()};
		const {release, epoch} = medium;
		const others = await listOthers(profile.fields, manifest);
		const sbom = makeSbom(parseStatus(status), others, {name: profile.name, sha256, release, epoch});
		const files = await attestImage(manifest, {stem, sbom, keys: options.keys});
		signal.throwIfAborted();
		for (const ending of [endings.signature, endings.envelope]) await rm(`${out}${ending}`, {force: true});
		await placeFiles(files.map(file => [file, join(dirname(out), basename(file))] as const)); // the manifest last
	});
	return {buildId, made: true};
}
