import * as z from 'zod';

/** A program and its arguments. Never a shell line. */
export type Command = readonly [program: string, ...args: string[]];

/** A file, folder or symbolic link as it lies in its folder. */
export interface Listed {
	/** As find(1) has it: f, d, l, or ? for what else there is. */
	type: string;
	/** Bytes. */
	size: string;
	/** Of its last change, in nanoseconds. */
	time: string;
	inode: string;
	/** Where a symbolic link leads. */
	target: string;
}

/** What a phase may ask of the machine while it plans. It asks only; it changes nothing. */
export interface Probe {
	/** Standard output; any exit status but 0 throws. So ask for a list and look in it: absent is not unknown. */
	output(command: Command): Promise<string>;
	/** File content, or undefined when there is no such file. */
	read(path: string): Promise<string | undefined>;
	/** The first so many bytes of a file, or with a negative number the last; undefined when there is no such file. */
	readBytes(path: string, count: number): Promise<Buffer | undefined>;
	/** What lies in a folder, by name; undefined when there is no such folder. */
	list(path: string): Promise<ReadonlyMap<string, Listed> | undefined>;
}

/** A disk that a step changes, as it was when the step was planned. */
export interface OnDisk {
	/** /dev/disk/by-diskseq/N */
	disk: string;
	/** What sysfs says of it, by file below its folder. */
	is: Readonly<Record<string, string>>;
}

/** All that a phase can do. A step is data: a plan prints it, a test compares it, apply.ts performs it. */
export type Step = {
	why: string;
	/** What of its phase it makes: when it fails, the steps of the others are still done. */
	part?: string;
} & (
	| RunStep
	| {do: 'write'; path: string; content: string; mode: number}
	| {do: 'fetch'; url: string; sha256: string; path: string; mode: number}
	| {do: 'wait'; until: Command; seconds: number}
	| {do: 'reboot'; kexec?: true} // into the kernel that kexec(8) has loaded
);

/** A program that changes the machine. */
interface RunStep {
	do: 'run';
	command: Command;
	/** May hold a secret; it is never logged. */
	stdin?: string;
	/** How long it may take, where limits.ts has no answer. */
	seconds?: number;
	/** Right before it is run, each of these disks must still be what it was. */
	on?: readonly OnDisk[];
}

/** One stretch of a sequence: from a section of the profile, which has this schema, and the machine as found, to what is left to do. A profile without the section skips the phase. */
export interface Phase<Schema extends z.ZodType = z.ZodType> {
	/** The Debian packages whose programs it runs; the builder puts them in the image. Some depend on what its section says. */
	packages: readonly string[] | ((config: z.output<Schema>) => readonly string[]);
	/** The steps from the machine as found to the machine as configured; [] when there is nothing to do. */
	plan(config: z.output<Schema>, probe: Probe): Promise<Step[]>;
	/** The steps that take away what it made when the profile had its section, which it has no more. */
	absent?(probe: Probe): Promise<Step[]>;
}

/** Why a phase leaves what was there before in force, which works: what the profile asks for was tried and taken back. The other phases go on. */
export class GivenUp extends Error {}

/** Some of what a phase makes cannot be planned; the rest can. */
export class PartsError extends Error {
	/** Why, by the name of each that cannot. */
	readonly parts: ReadonlyMap<string, Error>;
	/** What is left to do for the rest. */
	readonly steps: Step[];

	constructor(parts: ReadonlyMap<string, Error>, steps: Step[]) {
		super([...new Set([...parts.values()].map(({message}) => message))].join('\n'));
		this.parts = parts;
		this.steps = steps;
	}
}

/** The steps that make one thing of several. */
export const ofPart = (part: string | undefined, steps: readonly Step[]): Step[] =>
	steps.map(step => (part === undefined ? step : {...step, part}));

/**
 * Plans one by one what a phase makes, and joins the plans. What cannot be planned does not keep the rest from being
 * made: a PartsError tells of it, and has the steps of the rest.
 */
export async function planParts<Plan = Step[]>(
	names: readonly string[],
	plan: (name: string) => Promise<Plan>,
	join: (plans: Plan[], names: string[]) => Step[] | Promise<Step[]> = (plans, names) =>
		(plans as Step[][]).flatMap((steps, index) => ofPart(names[index], steps)),
): Promise<Step[]> {
	const ends = await Promise.allSettled(names.map(plan));
	const faults = new Map<string, Error>();
	const plans: Plan[] = [];
	for (const [index, end] of ends.entries()) {
		if (end.status === 'fulfilled') plans.push(end.value);
		else faults.set(names[index] ?? '', end.reason instanceof Error ? end.reason : new Error(String(end.reason)));
	}
	const steps = await join(
		plans,
		names.filter(name => !faults.has(name)),
	);
	if (faults.size > 0) throw new PartsError(faults, steps);
	return steps;
}

/** Where the builder says which build this is, in the image. */
export const buildIdPath = '/etc/bringup/build-id';

/** What a map has under a name of the user's, and not what every JavaScript object has, such as `constructor`. */
export function own<T>(map: Readonly<Record<string, T>>, name: string): T | undefined {
	return Object.hasOwn(map, name) ? map[name] : undefined;
}

/** A path on the machine that means one place, however it is read. */
export const absolutePath = z
	.string()
	.regex(
		/^(\/(?!\.{1,2}(\/|$))[A-Za-z0-9._-]+)+$/,
		'expected an absolute path of letters, digits, dot, dash and underscore, without . and .. as a part',
	);

/** A value that must not stand in the profile: it is read where the medium is built, and lands in a file of mode 0600. */
export const secret = z
	.strictObject({
		secret: z.union([
			z.strictObject({file: z.string().min(1).describe('path of a file, relative to the profile')}),
			z.strictObject({
				env: z.string().regex(/^\w+$/, 'expected the name of an environment variable').describe('read by the build'),
			}),
		]),
	})
	.describe('a value kept out of the profile: `secret: {file: …}` or `secret: {env: …}`');

export type Secret = z.output<typeof secret>;

/** The file of the image that holds the secret's value. */
export function secretPath({secret}: Secret): string {
	const [kind, name] = 'file' in secret ? ['file', secret.file] : ['env', secret.env];
	return `/etc/bringup/secrets/${kind}-${encodeURIComponent(name)}`;
}

/** The step that makes a file what it should be, or none when it is. */
export async function planFile(
	probe: Probe,
	path: string,
	content: string,
	why: string,
	mode = 0o644,
): Promise<Step[]> {
	return (await probe.read(path)) === content ? [] : [{do: 'write', path, content, mode, why}];
}

/** The step that removes a file of bringup's own, or none where it is gone. */
export async function planNoFile(probe: Probe, path: string, why: string): Promise<Step[]> {
	return (await probe.read(path)) === undefined ? [] : [{do: 'run', command: ['rm', '--force', path], why}];
}

/** Every unit that systemd has loaded; and the links by which units start at boot. Asked once for all units: of one it costs as much. */
export const listUnits: Command = ['systemctl', 'list-units', '--all', '--plain', '--no-legend', '--full'];
export const listEnabled: Command = ['find', '/etc/systemd/system', '-mindepth', '2', '-type', 'l', '-printf', '%f\n'];

/** A unit as systemd has it. */
export interface Unit {
	active: boolean;
	enabled: boolean;
}

/** Hundreds of lines, which are looked into for each of many units: the last ones stay split. */
let lastAsked = {units: '', states: new Map<string, string>()};

function readStates(units: string): ReadonlyMap<string, string> {
	if (units !== lastAsked.units) {
		const rows = units.split('\n').map(line => line.split(/ +/, 3));
		lastAsked = {units, states: new Map(rows.map(([unit = '', , active = '']) => [unit, active]))};
	}
	return lastAsked.states;
}

/** Whether a unit runs, or is about to, and whether it starts at boot. */
export async function readUnit(probe: Probe, unit: string): Promise<Unit> {
	const [units, enabled] = await Promise.all([probe.output(listUnits), probe.output(listEnabled)]);
	return {
		active: /^(active|activating|reloading)$/.test(readStates(units).get(unit) ?? ''),
		enabled: enabled.split('\n').includes(unit),
	};
}

/** The step that starts units now and at every boot; none when they all are so. systemd reads all its files again for each call. */
export async function planServices(probe: Probe, units: readonly string[], why: string): Promise<Step[]> {
	const states = await Promise.all(units.map(unit => readUnit(probe, unit)));
	const missing = units.filter((_, index) => !states[index]?.active || !states[index]?.enabled);
	if (missing.length === 0) return [];
	return [{do: 'run', command: ['systemctl', 'enable', '--now', ...missing], why}];
}

/** The step that starts a unit now and at every boot, or none when it is so. */
export async function planService(probe: Probe, unit: string, why: string): Promise<Step[]> {
	return planServices(probe, [unit], why);
}

/** The step that stops a unit and keeps it from starting at boot, or none when it is so. */
export async function planNoService(probe: Probe, unit: string, why: string): Promise<Step[]> {
	const {active, enabled} = await readUnit(probe, unit);
	return active || enabled ? [{do: 'run', command: ['systemctl', 'disable', '--now', unit], why}] : [];
}

const mountTable = '/proc/self/mountinfo';

/** Where something is mounted (proc_pid_mountinfo(5): the fifth field, blanks in octal). */
export async function readMounts(probe: Probe): Promise<string[]> {
	const text = await probe.read(mountTable);
	if (text === undefined) throw new Error(`${mountTable} is missing`);
	const plain = (field = '') =>
		field.replace(/\\([0-7]{3})/g, (_, digits) => String.fromCharCode(Number.parseInt(digits, 8)));
	return text.split('\n').map(line => plain(line.split(' ')[4]));
}

/** A probe that asks the same only once; `forget` is for when the machine may have changed. */
export function rememberAnswers(probe: Probe): {probe: Probe; forget(): void} {
	const answers = new Map<string, Promise<string>>();
	const output = (command: Command) => {
		const key = JSON.stringify(command);
		const answer = answers.get(key) ?? probe.output(command);
		answers.set(key, answer);
		return answer;
	};
	return {probe: {...probe, output}, forget: () => answers.clear()};
}
