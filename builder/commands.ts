import {access, mkdir, readdir, readFile, writeFile} from 'node:fs/promises';
import {basename, dirname, join, resolve} from 'node:path';
import {parseArgs} from 'node:util';
import {machineSchema, planSequence, probeRecord, type RecordedMachine, sequences} from '../firstboot/sequence.ts';
import type {Firmware} from './boot/qemu.ts';
import {readSecrets, type Secrets} from './build/medium.ts';
import {findCacheFolder, packageFolder} from './paths.ts';
import {type CompleteProfile, completeProfile, wantsKeys} from './profile/complete.ts';
import {formatReference} from './profile/docs.ts';
import {ProfileError} from './profile/faults.ts';
import {findProfile, loadProfile, type Profile, placeFacts} from './profile/profile.ts';
import {makeJsonSchema} from './profile/schema.ts';
import {makeProgress} from './progress.ts';
import {makeMachine, renderTree, writeTree} from './render/tree.ts';
import {UserError} from './run.ts';
import {keyPath, makePairedKey, readMirrors, readOwnKeys, readPairedKey} from './workstation.ts';

/** What a command gets from the process. */
export interface Surroundings {
	signal: AbortSignal;
	environment: Readonly<Record<string, string | undefined>>;
	out: NodeJS.WriteStream;
	err: NodeJS.WriteStream;
}

export interface CliCommand {
	summary: string;
	help: string;
	/** Gives the exit code where it is not 0. */
	run(argv: readonly string[], surroundings: Surroundings): Promise<number | undefined>;
}

interface Loaded {
	profile: CompleteProfile;
	secrets: Secrets;
	/** Whether the build must make a key pair, because the profile asks for one and the user has none. */
	needsKey: boolean;
}

/** Where the ISO of a profile goes when nothing is said. */
const defaultIso = (profile: Pick<Profile, 'name'>) => resolve('out', `${profile.name}.iso`);

/** Loads a profile and fills in what it leaves to this workstation. Throws a ProfileError with every fault at once. */
async function load(name: string | undefined, {environment}: Surroundings, out?: string): Promise<Loaded> {
	if (name === undefined) throw new UserError('which profile? Say --profile NAME, such as --profile node');
	const profile = await loadProfile(await findProfile(name));
	const needsMirror = profile.fields.debian.mirror === undefined;
	const mirrors = needsMirror ? await readMirrors() : {mirror: undefined, securityMirror: undefined};
	const own = wantsKeys(profile) ? await readOwnKeys() : [];
	const sshKeys = own.length > 0 ? own : await readPairedKey(out ?? defaultIso(profile));
	const complete = completeProfile(profile, {...mirrors, sshKeys});
	const {secrets, faults} = await readSecrets(profile, environment);
	const facts = [...(Array.isArray(complete) ? complete : []), ...faults];
	if (Array.isArray(complete) || facts.length > 0) throw new ProfileError(placeFacts(facts, profile.source));
	return {profile: complete, secrets, needsKey: wantsKeys(profile) && sshKeys.length === 0};
}

const noteKey = 'no SSH key yet: build-iso makes a pair beside the ISO, because ~/.ssh has none\n';

const check: CliCommand = {
	summary: 'check a profile, its facts included, and build nothing',
	help: `usage: bringup check --profile NAME [--offline] [--refresh]

  --profile NAME   a name in ./profiles or shipped with bringup, or a path
  --offline        leave out what needs the archive's package lists: whether debian.packages exist
  --refresh        ask the archive for new package lists first
  --cache DIR      where downloads and finished bases are kept (default: $XDG_CACHE_HOME/bringup)

Exit code 0: no fault. 2: faults, each with file:line:column.
`,
	async run(argv, surroundings) {
		const {values} = parseArgs({
			args: [...argv],
			options: {
				profile: {type: 'string'},
				offline: {type: 'boolean'},
				refresh: {type: 'boolean'},
				cache: {type: 'string'},
			},
		});
		const {profile, needsKey} = await load(values.profile, surroundings);
		const {debian} = profile.fields;
		if (!values.offline) {
			const {checkPackages, openIndex} = await import('./build/packages.ts');
			const say = (line: string) => void surroundings.err.write(`${line}\n`);
			const cache = resolve(values.cache ?? findCacheFolder(surroundings.environment));
			const index = await openIndex(debian, {
				cache,
				refresh: values.refresh ?? false,
				say,
				signal: surroundings.signal,
			});
			const faults = await checkPackages(index, debian.packages);
			if (faults.length > 0) throw new ProfileError(placeFacts(faults, profile.source));
		}
		const unchecked =
			values.offline && debian.packages.length > 0 ? '; whether its packages exist was not checked (--offline)' : '';
		surroundings.out.write(`${profile.name}: no fault${unchecked}\n`);
		if (needsKey) surroundings.err.write(noteKey);
		return 0;
	},
};

const render: CliCommand = {
	summary: "render a profile's live-build tree",
	help: `usage: bringup render --profile NAME [-o DIR]

  -o, --out DIR    write the tree there, into a new or empty folder; without it the paths are listed

The tree is Debian live-build's: auto/config, config/package-lists, config/includes.chroot, config/hooks.
Secrets are not in it.
`,
	async run(argv, surroundings) {
		const {values} = parseArgs({
			args: [...argv],
			options: {profile: {type: 'string'}, out: {type: 'string', short: 'o'}},
		});
		const {profile, needsKey} = await load(values.profile, surroundings);
		const tree = await renderTree(profile);
		if (needsKey) surroundings.err.write(noteKey);
		if (values.out === undefined) {
			surroundings.out.write([...tree.keys(), ''].join('\n'));
			return 0;
		}
		const folder = resolve(values.out);
		const there = await readdir(folder).catch(() => []);
		if (there.length > 0) throw new UserError(`${values.out} is not empty; name a new folder, or remove what is in it`);
		await writeTree(tree, folder);
		return 0;
	},
};

const plan: CliCommand = {
	summary: 'show the steps that install and provision would take',
	help: `usage: bringup plan --profile NAME [--machine FILE] [--json]

  --machine FILE   a machine recorded with \`bringup plan --record\` on it; without it, a blank machine with one NVMe disk
  --json           for a program: [{sequence, phases: [{phase, steps}]}]
`,
	async run(argv, surroundings) {
		const {values} = parseArgs({
			args: [...argv],
			options: {profile: {type: 'string'}, machine: {type: 'string'}, json: {type: 'boolean'}},
		});
		const {profile, secrets, needsKey} = await load(values.profile, surroundings);
		const text = await readFile(values.machine ?? join(packageFolder, 'firstboot/machines/blank.json'), 'utf8');
		const record = JSON.parse(text) as RecordedMachine;
		const stands = Object.fromEntries([...secrets.keys()].map(path => [path, 'secret']));
		const probe = probeRecord({...record, files: {...record.files, ...stands}});
		if (needsKey) surroundings.err.write(noteKey);
		const machine = machineSchema.parse(makeMachine(profile));
		const plans = [];
		for (const [sequence, phases] of Object.entries(sequences))
			plans.push({sequence, phases: await planSequence(phases, machine, probe)});
		if (values.json) {
			surroundings.out.write(`${JSON.stringify(plans, undefined, '\t')}\n`);
			return 0;
		}
		for (const {sequence, phases} of plans) {
			surroundings.out.write(`${sequence}\n`);
			for (const {phase, steps} of phases) {
				const whys = steps.map(({why}) => `    ${why}`);
				surroundings.out.write(`${[`  ${phase}`, ...(whys.length > 0 ? whys : ['    nothing to do'])].join('\n')}\n`);
			}
		}
		return 0;
	},
};

function readEpoch(environment: Surroundings['environment']): number | undefined {
	const text = environment['SOURCE_DATE_EPOCH'];
	if (text === undefined || text === '') return undefined;
	if (!/^\d+$/.test(text)) throw new UserError(`SOURCE_DATE_EPOCH must be seconds since 1970, and is ${text}`);
	return Number(text);
}

const buildIsoCommand: CliCommand = {
	summary: 'make the installer ISO of a profile',
	help: `usage: build-iso --profile NAME [--out FILE.iso] [--refresh] [--cache DIR] [--quiet]

  --profile NAME   a name in ./profiles or shipped with bringup, or a path
  --out FILE.iso   default: out/NAME.iso; its .sha256, .manifest.json and .log go beside it
  --refresh        ask the archive for new package lists first; else they are renewed when a day old
  --cache DIR      where downloads and finished bases are kept (default: $XDG_CACHE_HOME/bringup)
  --quiet          say only what went wrong

SOURCE_DATE_EPOCH dates every file. Exit code 0: done. 1: something failed. 2: the profile has faults.
`,
	async run(argv, surroundings) {
		const {values} = parseArgs({
			args: [...argv],
			options: {
				profile: {type: 'string'},
				out: {type: 'string'},
				refresh: {type: 'boolean'},
				cache: {type: 'string'},
				quiet: {type: 'boolean'},
			},
		});
		const {environment, err, signal} = surroundings;
		const began = performance.now();
		const wanted = values.out === undefined ? undefined : resolve(values.out);
		let loaded = await load(values.profile, surroundings, wanted);
		const iso = wanted ?? defaultIso(loaded.profile);
		const progress = makeProgress(err, values.quiet ?? false);
		if (loaded.needsKey) {
			await makePairedKey(iso, `bringup ${loaded.profile.name}`);
			progress.say(`no key in ~/.ssh: made a pair; log in with  ssh -i ${keyPath(iso)}`);
			loaded = await load(values.profile, surroundings, iso);
		}
		const {profile, secrets} = loaded;
		const cache = resolve(values.cache ?? findCacheFolder(environment));
		const options = {
			iso,
			cache,
			secrets,
			refresh: values.refresh ?? false,
			epoch: readEpoch(environment),
			progress,
			signal,
		};
		const {buildIso} = await import('./build/build.ts');
		const {buildId, made} = await buildIso(profile, await renderTree(profile), options);
		const seconds = ((performance.now() - began) / 1000).toFixed(1);
		progress.say(
			made
				? `${iso}: build ${buildId}, in ${seconds} s`
				: `${iso}: build ${buildId} is there already, nothing to do (${seconds} s)`,
		);
		return 0;
	},
};

const boot: CliCommand = {
	summary: 'try an ISO in a virtual machine',
	help: `usage: bringup boot FILE.iso [--firmware F] [--disk FILE] [--memory MIB] [--ssh-port PORT] [--snapshot]

  --firmware F     uefi-secure-boot (default), uefi, or bios
  --disk FILE      qcow2 disk to install to; default: beside the ISO; made when it is not there, 32G that fill as needed
  --memory MIB     default: 2048
  --ssh-port PORT  port on 127.0.0.1 that leads to the machine's SSH; default: 2222
  --snapshot       forget every change to the disk at the end

The serial console is on this terminal: Ctrl+A X ends the machine. With a display there is a window too.
`,
	async run(argv, {environment, err}) {
		const text = {type: 'string'} as const;
		const options = {firmware: text, disk: text, memory: text, 'ssh-port': text, snapshot: {type: 'boolean'}} as const;
		const {values, positionals} = parseArgs({args: [...argv], allowPositionals: true, options});
		const [iso] = positionals;
		if (iso === undefined) throw new UserError('which ISO? Say: bringup boot out/node.iso');
		const firmware = values.firmware ?? 'uefi-secure-boot';
		if (!['bios', 'uefi', 'uefi-secure-boot'].includes(firmware))
			throw new UserError(`--firmware is bios, uefi or uefi-secure-boot, not ${firmware}`);
		const numbers = {memory: Number(values.memory ?? 2048), sshPort: Number(values['ssh-port'] ?? 2222)};
		if (!Object.values(numbers).every(Number.isSafeInteger))
			throw new UserError('--memory and --ssh-port are whole numbers');
		if (!(await exists(iso))) throw new UserError(`there is no ${iso}; make it with build-iso`);
		const folder = join(dirname(resolve(iso)), `${basename(iso, '.iso')}.machine`);
		const disk = resolve(values.disk ?? join(folder, 'disk.qcow2'));
		return bootInteractively(
			{iso: resolve(iso), folder, disk, firmware: firmware as Firmware, ...numbers, snapshot: values.snapshot ?? false},
			environment,
			err,
		);
	},
};

const exists = (path: string) =>
	access(path).then(
		() => true,
		() => false,
	);

interface Interactive {
	iso: string;
	folder: string;
	disk: string;
	firmware: Firmware;
	memory: number;
	sshPort: number;
	snapshot: boolean;
}

async function bootInteractively(
	options: Interactive,
	environment: Surroundings['environment'],
	err: NodeJS.WriteStream,
): Promise<number> {
	const [{makeDisk, runInteractive}, {findAccelerator}] = await Promise.all([
		import('./boot/machine.ts'),
		import('./boot/accel.ts'),
	]);
	const {iso, disk, folder, ...rest} = options;
	await mkdir(folder, {recursive: true});
	if (!(await exists(disk))) await makeDisk(disk, '32G');
	err.write(
		`accelerator: ${await findAccelerator()}; disk: ${disk}; ssh: port ${rest.sshPort} on 127.0.0.1; Ctrl+A X ends the machine\n`,
	);
	await runInteractive({
		...rest,
		folder,
		disks: [{path: disk, format: 'qcow2', bus: 'nvme', serial: 'BRINGUP-1'}],
		cdrom: iso,
		mac: '52:54:00:62:75:01',
		isolated: false,
		terminal: {window: Boolean(environment['DISPLAY'] || environment['WAYLAND_DISPLAY'])},
	});
	return 0;
}

const schema: CliCommand = {
	summary: 'print the JSON Schema of profiles, for editors',
	help: `usage: bringup schema [--out DIR]

  --out DIR   write profile.schema.json and profile.md there instead
`,
	async run(argv, {out}) {
		const {values} = parseArgs({args: [...argv], options: {out: {type: 'string'}}});
		const text = `${JSON.stringify(makeJsonSchema(), undefined, '\t')}\n`;
		if (values.out === undefined) {
			out.write(text);
			return 0;
		}
		await writeFile(join(values.out, 'profile.schema.json'), text);
		await writeFile(join(values.out, 'profile.md'), formatReference());
		return 0;
	},
};

export const commands: Readonly<Record<string, CliCommand>> = {
	check,
	render,
	plan,
	'build-iso': buildIsoCommand,
	boot,
	schema,
};
