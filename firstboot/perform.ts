import {setTimeout as sleep} from 'node:timers/promises';
import {apply, machineProbe} from './apply.ts';
import {findConsoles} from './consoles.ts';
import {planEvidence} from './evidence.ts';
import {sendReport} from './fetch.ts';
import {writeDurably} from './files.ts';
import {buildIdPath} from './phase.ts';
import {readAddresses} from './reach.ts';
import {converge, type Door} from './run.ts';
import {type Machine, sequences} from './sequence.ts';
import {formatRemedy, formatSummary, Status, type StatusRecord, statusPath} from './status.ts';

/** The sequences of the medium, and the word of the kernel's command line that only their medium has. */
export const ofMedium: Partial<Record<keyof typeof sequences, string>> = {
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

async function keepEvidence(status: Status): Promise<void> {
	const log = [...status.lines, JSON.stringify(status.record, undefined, '\t'), ''].join('\n');
	const steps = await planEvidence(log, machineProbe).catch(() => []);
	for (const step of steps) {
		status.say(`bringup: ${step.why}`);
		await apply(step, line => status.say(line)).catch(error => status.say(`bringup: could not: ${String(error)}`)); // one place may be broken, the next not
	}
	status.say('bringup: nothing more is written; the machine may be switched off');
}

/** Runs a sequence to its end, and tells everybody who should know how it ended. */
export async function runSequence(
	name: keyof typeof sequences,
	machine: Machine,
	open: (say: (line: string) => void) => Door,
): Promise<boolean> {
	const words = (await machineProbe.read('/proc/cmdline'))?.trim().split(/\s+/) ?? [];
	const mark = ofMedium[name];
	if (mark !== undefined && !words.includes(mark))
		throw new Error(`${name} runs on the medium only: this machine is installed`);
	const sequence = sequences[name];
	const buildId = (await machineProbe.read(buildIdPath))?.trim() ?? '';
	const toConsoles = await findConsoles(machineProbe);
	const say = (line: string) => {
		process.stdout.write(`${line}\n`);
		toConsoles(line);
	};
	const save = (record: StatusRecord) =>
		writeDurably(statusPath, `${JSON.stringify(record, undefined, '\t')}\n`, 0o644);
	const phases = sequence.map(({name}) => name);
	const status = new Status({sequence: name, profile: machine.profile, buildId, phases}, say, save);
	status.say(`bringup: ${name} of profile ${machine.profile}, build ${buildId}`);
	// A machine that was booted over the network tells the server that it came from.
	const url = words.find(word => word.startsWith('bringup.report='))?.slice('bringup.report='.length);
	const tell = async () => {
		if (url === undefined || mark === undefined) return;
		// Where debian-installer goes on after it, the end of a sequence is not the end of the install.
		const between = (name === 'choose' || name === 'claim') && status.record.state === 'done';
		const why = await sendReport(url, between ? {...status.record, state: 'running'} : status.record);
		if (why !== undefined) status.say(`bringup: could not tell ${url}: ${why}`);
	};
	await tell();
	const door = open(line => status.say(`bringup: ${line}`));
	const {done, reboot} = await converge(sequence, machine, door, status);
	await status.finish(done ? 'done' : 'failed', name === 'provision' ? await waitForAddresses(machine) : {});
	for (const line of formatRemedy(status.record)) status.say(line);
	const summary = formatSummary(status.record);
	status.say(summary);
	await tell();
	if (name === 'provision') {
		await writeDurably('/run/motd.d/10-bringup', `${summary}\n`, 0o644);
		await writeDurably('/var/lib/bringup/status.json', `${JSON.stringify(status.record, undefined, '\t')}\n`, 0o644);
		if (status.record.failures.some(({passing}) => passing)) {
			const command = ['systemctl', 'restart', 'bringup-again.timer'] as const;
			await apply({do: 'run', command, why: 'try again later'}, say).catch(error => say(`bringup: ${String(error)}`));
		}
	} else if (!done) {
		await keepEvidence(status);
	}
	if (reboot) await door.apply(reboot, say);
	return done;
}
