import {setTimeout as sleep} from 'node:timers/promises';
import {apply, machineProbe, openDoor} from './apply.ts';
import {findConsoles} from './consoles.ts';
import {endedPath} from './disks.ts';
import {planEvidence} from './evidence.ts';
import {sendReport} from './fetch.ts';
import {writeDurably} from './files.ts';
import {takeLock} from './lock.ts';
import {readMachine} from './machine-json.ts';
import {buildIdPath, type Probe} from './phase.ts';
import {readAddresses} from './reach.ts';
import {converge, type Door, type Outcome} from './run.ts';
import {type Machine, sequences} from './sequence.ts';
import {bootIdPath, formatRemedy, formatSummary, Status, type StatusRecord, statusPath} from './status.ts';

type SequenceName = keyof typeof sequences;
type Say = (line: string) => void;

/** The sequences of the medium, and the word of the kernel's command line that only their medium has. */
export const ofMedium: Partial<Record<SequenceName, string>> = {
	install: 'boot=live',
	choose: 'bringup.installer',
	claim: 'bringup.installer',
	complete: 'bringup.installer',
	template: 'bringup.template',
};

/** Addresses of the management link; waits a little for the first lease, because the report is read right after. */
async function waitForAddresses(machine: Machine): Promise<Record<string, string[]>> {
	const name = machine.network?.management;
	if (name === undefined) return {};
	for (let tries = 0; ; tries++) {
		const link = (await readAddresses(machineProbe)).get(name);
		if (link?.addresses.length || !link?.carrier || tries === 30) return {[name]: link?.addresses ?? []};
		await sleep(500);
	}
}

const format = (record: StatusRecord) => `${JSON.stringify(record, undefined, '\t')}\n`;

async function keepEvidence(status: Status): Promise<void> {
	const log = [...status.lines, format(status.record)].join('\n');
	const steps = await planEvidence({log, record: format(status.record)}, machineProbe).catch(() => []);
	for (const step of steps) {
		status.say(`bringup: ${step.why}`);
		await apply(step, line => status.say(line)).catch(error => status.say(`bringup: could not: ${String(error)}`)); // one place may be broken, the next not
	}
	status.say('bringup: nothing more is written; the machine may be switched off');
}

/** Saves the status; of an install also how it looks when nothing more fails, for the disk that it lets go of last. */
async function save(record: StatusRecord): Promise<void> {
	await writeDurably(statusPath, format(record), 0o644);
	if (record.sequence !== 'install' && record.sequence !== 'complete') return;
	const phases = record.phases.map(phase => (phase.state === 'running' ? {...phase, state: 'done' as const} : phase));
	await writeDurably(
		endedPath,
		format({...record, state: 'done', phases, finishedAt: new Date().toISOString()}),
		0o644,
	);
}

/** Where a person reads how provisioning ended: when logging in, and after the next boot. */
async function publish(record: StatusRecord, say: Say): Promise<void> {
	const write = (path: string, content: string) =>
		writeDurably(path, content, 0o644).catch(error => say(`bringup: could not write ${path}: ${String(error)}`));
	await write('/run/motd.d/10-bringup', `${[formatSummary(record), ...formatRemedy(record)].join('\n')}\n`);
	await write('/var/lib/bringup/status.json', format(record));
	if (!record.failures.some(({passing}) => passing)) return;
	const command = ['systemctl', 'restart', 'bringup-again.timer'] as const;
	await apply({do: 'run', command, why: 'try again later'}, say).catch(error => say(`bringup: ${String(error)}`));
}

async function openStatus(name: SequenceName, profile: string, say: Say): Promise<Status> {
	const buildId = (await machineProbe.read(buildIdPath))?.trim() ?? '';
	const boot = (await machineProbe.read(bootIdPath))?.trim() ?? '';
	const phases = sequences[name].map(({name}) => name);
	const begin = {sequence: name, profile, buildId, phases, process: {pid: process.pid, boot}};
	const status = new Status(begin, say, record =>
		save(record).catch(error => say(`bringup: could not save the status: ${String(error)}`)),
	);
	status.say(`bringup: ${name} of profile ${profile}, build ${buildId}`);
	return status;
}

/** --confined puts each program into a unit that is bound to the service, which systemd would start for it. */
async function checkConfined(): Promise<void> {
	if ((await machineProbe.read('/proc/self/cgroup'))?.includes('/bringup.service')) return;
	throw new Error('--confined is for the service; run: systemctl restart bringup, or by hand: sudo bringup provision');
}

/** What a run of a sequence is given. */
export interface Given {
	confined: boolean;
	/** The machine and its answers, where they are known already and nothing is left to do; the lock is taken then. */
	recalled?: {machine: Machine; probe: Probe};
}

/** Runs a sequence to its end, and tells everybody who should know how it ended. */
export async function runSequence(name: SequenceName, {confined, recalled}: Given): Promise<boolean> {
	const words = (await machineProbe.read('/proc/cmdline'))?.trim().split(/\s+/) ?? [];
	const mark = ofMedium[name];
	if (mark !== undefined && !words.includes(mark))
		throw new Error(`${name} runs on the medium only: this machine is installed`);
	if (confined) await checkConfined();
	process.stdout.on('error', () => {}); // whoever reads it may go away, and the machine must still come to its end
	const toConsoles = await findConsoles(machineProbe);
	const say = (line: string) => {
		process.stdout.write(`${line}\n`);
		toConsoles(line);
	};
	// debian-installer, which runs the others one after the other, has no flock.
	if (!recalled && ['provision', 'install', 'template'].includes(name)) await takeLock(name, {patience: 600, say});
	const read =
		recalled ??
		(await readMachine(machineProbe).then(
			machine => ({machine}),
			error => ({error: error as unknown}),
		));
	const status = await openStatus(name, 'machine' in read ? read.machine.profile : '(not known)', say);
	const tell = teller(name, words, status);
	await tell();
	const {done, reboot}: Outcome =
		'machine' in read ? await converge(sequences[name], read.machine, open(), status) : {done: false};
	if ('error' in read) await status.profileFailed(read.error);
	const addresses = name === 'provision' && 'machine' in read ? await waitForAddresses(read.machine) : {};
	await status.finish(done ? 'done' : 'failed', addresses);
	for (const line of [...formatRemedy(status.record), formatSummary(status.record)]) status.say(line);
	await tell();
	if (name === 'provision') await publish(status.record, say);
	else if (!done) await keepEvidence(status);
	if (reboot) await open().apply(reboot, say);
	return done;

	function open(): Door {
		const door = openDoor(line => status.say(`bringup: ${line}`), {confined});
		if (!recalled) return door;
		return {probe: recalled.probe, apply: () => Promise.reject(new Error('there is something to do'))};
	}
}

/** What tells the server that a machine came from, when it was booted over the network, how its install stands. */
function teller(name: SequenceName, words: readonly string[], status: Status): () => Promise<void> {
	const url = words.find(word => word.startsWith('bringup.report='))?.slice('bringup.report='.length);
	return async () => {
		if (url === undefined || ofMedium[name] === undefined) return;
		// Where debian-installer goes on after it, the end of a sequence is not the end of the install.
		const between = (name === 'choose' || name === 'claim') && status.record.state === 'done';
		const why = await sendReport(url, between ? {...status.record, state: 'running'} : status.record);
		if (why !== undefined) status.say(`bringup: could not tell ${url}: ${why}`);
	};
}
