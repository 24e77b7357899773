import {createHash} from 'node:crypto';
import {basename, dirname} from 'node:path';
import {keysFolder, madePath} from './accounts.ts';
import {readCursor} from './logins.ts';
import {findManagement, listChangedLinks, planNetdev, readNetworkFiles, restartNetworkdSoon} from './netdev.ts';
import {networkFolder} from './networkd.ts';
import {loadTable, removeTable, tablesFolder} from './nftables.ts';
import {GivenUp, type Probe, type Step} from './phase.ts';
import {findUnreachable, readNeighbours, type Wanted} from './reach.ts';

/** What a change can lock everybody out with, and where it lies. */
const places = {
	identity: {
		folders: [keysFolder, '/etc/ssh/sshd_config.d', '/etc/sudoers.d'],
		files: ['/etc/passwd', '/etc/shadow', '/etc/group', '/etc/gshadow', madePath],
	},
	network: {folders: [networkFolder], files: []},
	firewall: {folders: [tablesFolder], files: []},
} as const satisfies Record<string, {folders: string[]; files: string[]}>;

export type Subject = keyof typeof places;

/** On the disk of the system itself: what is saved here comes back by links to it, which need no room on a full disk. */
export const trialFolder = '/var/lib/bringup/trial';
/** What was in force before the change; while it is there, a change is under way. */
export const savedFolder = `${trialFolder}/saved`;
/** The same, while it is put back. Who renames `saved` first has it: the proof or the restore. */
export const restoringFolder = `${trialFolder}/restoring`;
const replacedFolder = `${trialFolder}/replaced`;
/** While a change is under way: what it is, and how it is proven. Gone after a power cut, which says nothing against the change. */
export const trialPath = '/run/bringup/trial.json';
/** The last answer of `bringup reachable` in a trial, where that was no. */
export const reasonPath = '/run/bringup/unreachable';
/** The address from which somebody has promised to log in. */
export const proveFromPath = '/run/bringup/prove-from';
/** Once a network of ours was set up whole: from then on somebody may depend on it. */
export const finishedPath = `${trialFolder}/finished`;
/** What was tried and lost the machine: a change that is not tried again by itself. */
export const rejectedPath = (subject: Subject) => `${trialFolder}/rejected-${subject}.json`;

/** Seconds that the change has to prove itself; the timer gives it twice as long, from the same moment. */
const proofSeconds = 90;
/** Seconds after which systemd puts the old state back. */
export const trialSeconds = 2 * proofSeconds;

const timer = 'bringup-restore.timer';

/** A change that is on trial. */
export interface Trial {
	subject: Subject;
	/** Of what was tried. */
	digest: string;
	/** Who answered on the wire before. */
	neighbours: string[];
	/** The controller, where it answered before. */
	controller?: string;
	/** Who must log in anew: an address, or anybody. */
	login?: {from: string | 'anybody'; cursor: string};
}

/** A change that was tried and taken back. */
export interface Rejected {
	digest: string;
	at: string;
	reason: string;
}

/** The trial that is under way. */
export async function readTrial(probe: Probe): Promise<Trial | undefined> {
	const text = await probe.read(trialPath);
	return text === undefined ? undefined : (JSON.parse(text) as Trial);
}

/** The link over which this machine is reached, by its files. */
export async function readManagement(probe: Probe): Promise<string | undefined> {
	return findManagement((await readNetworkFiles(probe, networkFolder)) ?? new Map());
}

/** Whether the machine is reached now; one that cannot tell may be. */
async function isReached(probe: Probe, wanted: Wanted): Promise<boolean> {
	return findUnreachable(wanted, probe).then(
		reason => reason === undefined,
		() => true,
	);
}

const isThere = async (probe: Probe, path: string) => (await probe.list(dirname(path)))?.has(basename(path)) ?? false;

const startTimer = (why: string): Step => ({do: 'run', command: ['systemctl', 'restart', timer], why});

/** The steps before the first change: what is in force is saved, and a timer of systemd's own brings it back. */
async function planArm(trial: Trial, probe: Probe): Promise<Step[]> {
	const {folders, files: all} = places[trial.subject];
	const files = [];
	for (const path of all) if (await isThere(probe, path)) files.push(path);
	const saving = `${trialFolder}/saving`;
	return [
		{do: 'run', command: ['rm', '--recursive', '--force', saving, reasonPath], why: 'remove what an earlier try left'},
		planNote(trial),
		{
			do: 'run',
			command: ['install', '--directory', '--mode=700', trialFolder, saving],
			why: 'make room for what is saved',
		},
		{do: 'run', command: ['mkdir', '--parents', ...folders], why: `have a folder of the ${trial.subject}`},
		{
			do: 'run',
			command: ['cp', '--archive', '--parents', `--target-directory=${saving}`, ...folders, ...files],
			why: `save the ${trial.subject} that is in force`,
		},
		{do: 'run', command: ['sync', '--file-system', trialFolder], why: 'make it durable'},
		{do: 'run', command: ['mv', '--no-target-directory', saving, savedFolder], why: 'take it as the last good one'},
		startTimer(`let a timer bring it back, unless the new ${trial.subject} proves itself`),
	];
}

/** The steps after the last change: the machine proves that it is reachable, and only then forgets what was before. */
function planDisarm({subject, login}: Trial): Step[] {
	const proof =
		login === undefined
			? 'prove that the machine is still reachable'
			: `wait for a new SSH login from ${login.from}, who proves that the machine is still reachable`;
	return [
		startTimer('give the proof all of the time'),
		{do: 'wait', until: ['bringup', 'reachable'], seconds: proofSeconds, why: proof},
		{do: 'run', command: ['rm', '--recursive', '--force', replacedFolder], why: 'remove what an earlier try left'},
		{
			do: 'run',
			command: ['mv', '--no-target-directory', savedFolder, replacedFolder],
			why: `keep the new ${subject}, where it was not taken back meanwhile`,
		},
		{do: 'run', command: ['systemctl', 'stop', timer], why: 'stop the timer'},
		{do: 'run', command: ['rm', '--recursive', '--force', replacedFolder], why: 'forget what was before'},
	];
}

const planNote = (trial: Trial): Step => {
	const content = `${JSON.stringify(trial)}\n`;
	return {do: 'write', path: trialPath, content, mode: 0o644, why: `remember which ${trial.subject} is on trial`};
};

const endTrial: Step = {do: 'run', command: ['rm', '--force', trialPath, reasonPath], why: 'end the trial'};

async function refuse(subject: Subject, digest: string, probe: Probe): Promise<void> {
	const left = await probe.list(trialFolder);
	if (left?.has('saved') || left?.has('restoring'))
		throw new Error(
			'a change is under way that did not come to its end. What was before is put back, and the run begins anew, by: systemctl restart bringup',
		);
	const text = await probe.read(rejectedPath(subject));
	if (text === undefined) return;
	const {digest: tried, at, reason} = JSON.parse(text) as Rejected;
	if (tried !== digest) return;
	throw new GivenUp(
		[
			`this ${subject} was tried at ${at} and taken back: ${reason}`,
			`what was before is in force. Change the section ${subject},`,
			`or mend what is outside the machine and let it be tried again: rm ${rejectedPath(subject)} && systemctl restart bringup`,
		].join('\n'),
	);
}

/** A change of what people reach the machine by. */
export interface Change {
	subject: Subject;
	/** What it comes to: the same is not tried twice. */
	content: unknown;
	/** Whether the change shuts out everybody who is known to get in now. Asked on a machine that is reached, over this link. */
	shutsOut(management: string): Promise<boolean>;
	/** That of the profile. */
	controller?: string | undefined;
	steps: readonly Step[];
}

/**
 * The steps of a change with a trial around it. On a machine that nobody reaches now there is nobody to lose: the change
 * is made, and stays. Throws GivenUp when the same was tried before and taken back.
 */
export async function planTrial(
	probe: Probe,
	{subject, content, shutsOut, controller, steps}: Change,
): Promise<Step[]> {
	const digest = createHash('sha256').update(JSON.stringify(content)).digest('hex');
	await refuse(subject, digest, probe);
	const finished = (await probe.read(finishedPath)) !== undefined;
	const management = finished ? await readManagement(probe) : undefined;
	const asked =
		management !== undefined && controller !== undefined && (await isReached(probe, {management, controller}));
	if (management === undefined || !(asked || (await isReached(probe, {management}))))
		return subject === 'network' ? [planNote({subject, digest, neighbours: []}), ...steps, endTrial] : [...steps];
	const from = (await probe.read(proveFromPath))?.trim() ?? ((await shutsOut(management)) ? 'anybody' : undefined);
	const trial: Trial = {
		subject,
		digest,
		neighbours: await readNeighbours(probe, management),
		...(asked ? {controller} : {}),
		...(from === undefined ? {} : {login: {from, cursor: await readCursor(probe)}}),
	};
	return [...(await planArm(trial, probe)), ...steps, ...planDisarm(trial), endTrial];
}

/** The steps back, by what may stop them: nothing may stop the files; the rest is done as far as it goes. */
export interface Restore {
	files: Step[];
	/** What makes the running system follow the files. */
	effects: Step[];
	/** What needs room on the disk. */
	record: Step[];
	/** Only when the files are back. */
	end: Step[];
}

/** What a restore knows beside the files. */
interface Moment {
	at: string;
	/** Names of the links that are there. */
	links: readonly string[];
	/** Whether this is the running system, and not a boot before its network. */
	running: boolean;
	/** Whether the change had its time; else nothing is known against it. */
	proven: boolean;
}

async function planFolder(probe: Probe, from: string, folder: string): Promise<Step[]> {
	const before = await probe.list(`${from}${folder}`);
	if (before === undefined) return [];
	const now = (await probe.list(folder)) ?? new Map();
	const added = [...now].filter(([name, {type}]) => type !== 'd' && !before.has(name));
	return [
		...added.map(([name]) => planRemove(`${folder}/${name}`)),
		planBack(folder),
		{do: 'run', command: ['sync', folder], why: `make ${folder} durable`},
	];
}

const planRemove = (path: string): Step => ({do: 'run', command: ['rm', '--force', path], why: `remove ${path}`});

/** A hard link takes no room. */
function planBack(path: string): Step {
	const copy = ['--archive', '--link', '--remove-destination', '--no-target-directory'];
	return {do: 'run', command: ['cp', ...copy, `${restoringFolder}${path}`, path], why: `put ${path} back`};
}

async function planEffects(probe: Probe, from: string, {links}: Moment): Promise<Step[]> {
	const steps: Step[] = [];
	const network = await readNetworkFiles(probe, `${from}${networkFolder}`);
	if (network) {
		const now = (await readNetworkFiles(probe, networkFolder)) ?? new Map<string, string>();
		const changed = listChangedLinks(now, network).filter(([link]) => links.includes(link));
		steps.push(...changed.flatMap(([link, content]) => planNetdev(link, content)), restartNetworkdSoon);
	}
	const tables = await probe.list(`${from}${tablesFolder}`);
	if (tables?.has('firewall.nft')) steps.push(loadTable({family: 'inet', name: 'firewall'}));
	else if (tables) steps.push(removeTable('inet'));
	if (await probe.list(`${from}/etc/ssh/sshd_config.d`))
		steps.push({do: 'run', command: ['systemctl', 'reload', 'ssh.service'], why: 'have sshd read its files'});
	return steps;
}

/** The steps back to what was in force before. Its folder goes last: a power cut on the way is followed by another try. */
export async function planRestore(probe: Probe, moment: Moment): Promise<Restore | undefined> {
	const left = await probe.list(trialFolder);
	const from = left?.has('restoring') ? restoringFolder : savedFolder;
	if (!left?.has('restoring') && !left?.has('saved')) return undefined;
	const files: Step[] = [];
	if (from === savedFolder)
		files.push({
			do: 'run',
			command: ['mv', '--no-target-directory', savedFolder, restoringFolder],
			why: 'take the change back',
		});
	for (const {folders, files: single} of Object.values(places)) {
		if (!(await isThere(probe, `${from}${folders[0]}`))) continue;
		for (const folder of folders) files.push(...(await planFolder(probe, from, folder)));
		for (const path of single) files.push((await isThere(probe, `${from}${path}`)) ? planBack(path) : planRemove(path));
	}
	files.push({do: 'run', command: ['sync', '/etc', trialFolder], why: 'make it durable'});
	const trial = await readTrial(probe).catch(() => undefined);
	const reason = moment.proven ? await probe.read(reasonPath) : undefined;
	const content = `${JSON.stringify({digest: trial?.digest ?? '', at: moment.at, reason: reason ?? ''} satisfies Rejected)}\n`;
	return {
		files,
		effects: moment.running ? await planEffects(probe, from, moment) : [],
		record:
			trial && reason
				? [{do: 'write', path: rejectedPath(trial.subject), content, mode: 0o644, why: `give the change up: ${reason}`}]
				: [],
		end: [
			// Moved first: half a folder would be taken for the whole at the next boot.
			{do: 'run', command: ['rm', '--recursive', '--force', replacedFolder], why: 'remove what an earlier try left'},
			{
				do: 'run',
				command: ['mv', '--no-target-directory', restoringFolder, replacedFolder],
				why: 'note that it is back',
			},
			{do: 'run', command: ['rm', '--recursive', '--force', replacedFolder], why: 'forget what was saved'},
			endTrial,
		],
	};
}
