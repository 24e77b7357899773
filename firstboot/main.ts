#!/usr/bin/env node
import {setTimeout as sleep} from 'node:timers/promises';
import {startupSnapshot} from 'node:v8';
import * as z from 'zod';
import {apply, CommandError, confinedDoor, machineDoor, machineProbe, writeDurably} from './apply.ts';
import {findManagement, planRestore, readNetworkFiles, trialPath} from './arming.ts';
import {findConsoles} from './consoles.ts';
import {planEvidence} from './evidence.ts';
import {sendReport} from './fetch.ts';
import {clonePath, mergePatch} from './golden.ts';
import {planStart} from './k3s-start.ts';
import {readIpLinks} from './links.ts';
import {networkFolder} from './networkd.ts';
import {servePackages} from './packages-server.ts';
import {buildIdPath, type Step} from './phase.ts';
import {findUnreachable, readAddresses} from './reach.ts';
import {type RecordedMachine, recordProbe} from './record.ts';
import {converge, type Door} from './run.ts';
import {type Machine, machineSchema, planSequence, sequences} from './sequence.ts';
import {type Known, learn, readStamp, recall} from './snapshot.ts';
import {formatFailure, formatSummary, Status, type StatusRecord} from './status.ts';

const machinePath = '/etc/bringup/machine.json';
const statusPath = '/run/bringup/status.json';

const usage = `usage: bringup status [--json]              what the last run did
       bringup plan [--json] [--record]      what provisioning would do now; --record shows what it asked of the machine
       bringup reachable                     whether this machine can be reached over its management link
       bringup provision [--confined]        do it (the service bringup does so at every boot)
       bringup start-k3s                     what K3s needs at each start (its service does so by itself)
       bringup install                       erase and install this machine (the medium does so by itself)
       bringup choose | claim | complete     the parts of it that debian-installer runs
       bringup template                      make a golden image of this machine and seal it (bringup bake does so)
       bringup serve-packages FOLDER         what its packages come from there
`;

/** The sequences of the medium, and the word of the kernel's command line that only their medium has. */
const ofMedium: Partial<Record<keyof typeof sequences, string>> = {
	install: 'boot=live',
	choose: 'bringup.installer',
	claim: 'bringup.installer',
	complete: 'bringup.installer',
	template: 'bringup.template',
};

async function readText(): Promise<string> {
	const text = await machineProbe.read(machinePath);
	if (text === undefined)
		throw new Error(`${machinePath} is missing: this machine was not made by bringup, or its disk is damaged`);
	const patch = await machineProbe.read(clonePath);
	return patch === undefined ? text : JSON.stringify(mergePatch(JSON.parse(text), parsePatch(patch)));
}

function parsePatch(text: string): unknown {
	try {
		return JSON.parse(text);
	} catch (error) {
		throw new Error(`${clonePath}, which this clone's seed has written, is no JSON: ${(error as Error).message}`);
	}
}

function parseMachine(text: string): Machine {
	z.config({jitless: true}); // what zod compiles for speed pays for itself at the hundredth time
	return machineSchema.parse(JSON.parse(text));
}

const readMachine = async () => parseMachine(await readText());

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

/** Says whether the machine can be reached, and why not. */
async function printReachable(): Promise<boolean> {
	const {network} = await readMachine();
	if (!network) throw new Error('the profile of this machine has no section network');
	const reason = await findUnreachable(network, machineProbe);
	if (reason !== undefined) throw new Error(reason);
	const {addresses} = (await readAddresses(machineProbe)).get(network.management) ?? {addresses: []};
	process.stdout.write(`${network.management} ${addresses.join(' ')}: reachable\n`);
	return true;
}

/** Puts the last good network back: a change was not proven in time, or the power was cut before it could be. */
async function restoreNetwork(): Promise<boolean> {
	// Of the section only the reason comes: a file that a person broke must not keep the old network away.
	const network = await readMachine().then(
		machine => machine.network,
		() => undefined,
	);
	const trial = (await machineProbe.read(trialPath)) !== undefined;
	const running = (await machineProbe.read('/run/systemd/netif/state')) !== undefined;
	const reason = trial && network ? await findUnreachable(network, machineProbe).catch(String) : undefined;
	const links = (await readIpLinks(machineProbe)).map(({ifname}) => ifname);
	const toConsoles = await findConsoles(machineProbe);
	const say = (line: string) => {
		process.stdout.write(`${line}\n`);
		toConsoles(line);
	};
	for (const step of await planRestore(machineProbe, {reason, at: new Date().toISOString(), links, running})) {
		say(`bringup: network: ${step.why}`);
		await apply(step, say);
	}
	// By the files that are in force again: the profile may name another link.
	const management = findManagement((await readNetworkFiles(machineProbe, networkFolder)) ?? new Map());
	if (reason === undefined || management === undefined) return true;
	for (let tries = 0; tries < 30; tries++) {
		if ((await findUnreachable({management}, machineProbe)) === undefined) return true;
		await sleep(2000);
	}
	// What is in force is not what the files say, and a boot makes it so. The change is given up: it comes to this once.
	say('bringup: network: the last good network does not work without a reboot');
	await apply({do: 'reboot', why: 'reboot'}, say);
	return true;
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

async function runSequence(name: keyof typeof sequences, machine: Machine, door: Door): Promise<boolean> {
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
	const {done, reboot} = await converge(sequence, machine, door, status);
	await status.finish(done ? 'done' : 'failed', name === 'provision' ? await waitForAddresses(machine) : {});
	for (const line of formatFailure(status.record)) status.say(line);
	const summary = formatSummary(status.record);
	status.say(summary);
	await tell();
	if (name === 'provision') {
		await writeDurably('/run/motd.d/10-bringup', `${summary}\n`, 0o644);
		await writeDurably('/var/lib/bringup/status.json', `${JSON.stringify(status.record, undefined, '\t')}\n`, 0o644);
	} else if (!done) {
		await keepEvidence(status);
	}
	if (reboot) await door.apply(reboot, say);
	return done;
}

/** What a step gives a program, and files that others may not read, stay out of what is printed. */
function hideSecrets({phase, steps}: {phase: string; steps: Step[]}) {
	const hidden = '(not shown)';
	return {
		phase,
		steps: steps.map(step => {
			if (step.do === 'run' && step.stdin !== undefined) return {...step, stdin: hidden};
			return step.do === 'write' && (step.mode & 0o077) === 0 ? {...step, content: hidden} : step;
		}),
	};
}

async function printRecord(): Promise<void> {
	const record: RecordedMachine = {commands: {}, files: {}};
	await planSequence(sequences.provision, await readMachine(), recordProbe(machineProbe, record));
	process.stdout.write(`${JSON.stringify(record, undefined, '\t')}\n`);
}

function printPlan(plans: Awaited<ReturnType<typeof planSequence>>, json: boolean): void {
	if (json) process.stdout.write(`${JSON.stringify(plans.map(hideSecrets), undefined, '\t')}\n`);
	else
		for (const {phase, steps} of plans)
			for (const why of steps.length > 0 ? steps.map(({why}) => why) : ['nothing to do'])
				process.stdout.write(`${phase}: ${why}\n`);
}

async function printStatus(json: boolean): Promise<boolean> {
	const text = (await machineProbe.read(statusPath)) ?? (await machineProbe.read('/var/lib/bringup/status.json'));
	if (text === undefined) throw new Error('nothing has run yet');
	const record = JSON.parse(text) as StatusRecord;
	process.stdout.write(json ? text : `${[formatSummary(record), ...formatFailure(record)].join('\n')}\n`);
	return record.state !== 'failed';
}

async function startK3s(): Promise<boolean> {
	const {kubernetes} = await readMachine();
	if (!kubernetes) throw new Error('the profile has no section kubernetes');
	const say = (line: string) => process.stdout.write(`${line}\n`);
	for (const step of await planStart(kubernetes, machineProbe)) {
		say(`bringup: ${step.why}`);
		await apply(step, say).catch(error => {
			if (error instanceof CommandError) for (const line of error.lines) say(line);
			throw error;
		});
	}
	return true;
}

async function main(argv: readonly string[]): Promise<boolean> {
	const [command, ...flags] = argv;
	const json = flags.includes('--json');
	if (command === 'provision' || (command !== undefined && Object.hasOwn(ofMedium, command))) {
		const done = await runSequence(command as keyof typeof sequences, await readMachine(), pickDoor(flags));
		if (done && command === 'provision') await startSnapshot();
		return done;
	}
	if (command === 'start-k3s') return startK3s();
	if (command === 'serve-packages') return Boolean(await servePackages(flags[0] ?? '', 80));
	if (command === 'status') return printStatus(json);
	if (command === 'reachable') return printReachable();
	if (command === 'restore-network') return restoreNetwork();
	if (command === 'plan' && flags.includes('--record')) await printRecord();
	else if (command === 'plan')
		printPlan(await planSequence(sequences.provision, await readMachine(), machineProbe), json);
	else process.stdout.write(usage);
	return command === 'plan' || command === '--help' || command === undefined;
}

const pickDoor = (flags: readonly string[]) => (flags.includes('--confined') ? confinedDoor : machineDoor);

/** What a process that starts from the snapshot can do: say that nothing is left to do. Else it sends the caller to the program itself, and waits for no question. */
async function mainFromSnapshot(known: Known | undefined, [command, ...flags]: readonly string[]): Promise<boolean> {
	const isSame = known !== undefined && known.stamp === readStamp() && known.text === (await readText());
	if (!isSame || flags.includes('--record')) return process.exit(1);
	const door = pickDoor(flags);
	const recalled = await recall(known, door.probe, door.askBeside).catch(() => undefined);
	if (recalled === undefined) return process.exit(1);
	const apply = () => Promise.reject(new Error('there is something to do'));
	if (command === 'provision') return runSequence(command, known.machine, {probe: recalled.probe, apply});
	printPlan(recalled.plans, flags.includes('--json'));
	return true;
}

/** The last run found nothing more to do: the next one may start from here. Its unit asks again, when the machine is idle. */
async function startSnapshot(): Promise<void> {
	if (Number.parseInt(process.versions.node, 10) < 20) return; // Node.js 18 cannot keep what starts programs
	const command = ['systemctl', '--no-block', 'start', 'bringup-snapshot.service'] as const;
	await apply({do: 'run', command, why: 'make a snapshot'}, () => {}).catch(sayError);
}

/** Run by `node --build-snapshot`, which takes the heap as it is when nothing more is running. */
async function makeSnapshot(): Promise<boolean> {
	Buffer.poolSize = 0; // the pool would keep pieces of what was read, secrets too
	const text = await readText();
	const known = await learn({text, stamp: readStamp(), machine: parseMachine(text)}, machineProbe);
	/^/.test(''); // and so does the last match
	startupSnapshot.setDeserializeMainFunction(() => void exit(mainFromSnapshot(known, process.argv.slice(1))));
	return true;
}

async function sayError(error: unknown): Promise<void> {
	const line = `bringup: error: ${error instanceof Error ? error.message : String(error)}`;
	process.stderr.write(`${line}\n`);
	// Of these nobody reads the standard error but who stands before the machine.
	const command = process.argv[2] ?? '';
	if (command === 'provision' || command === 'serve-packages' || Object.hasOwn(ofMedium, command))
		await findConsoles(machineProbe).then(say => say(line));
}

async function exit(done: Promise<boolean>): Promise<void> {
	process.exitCode = 1;
	await done.then(done => {
		process.exitCode = done ? 0 : 1;
	}, sayError);
}

void exit(startupSnapshot.isBuildingSnapshot() ? makeSnapshot() : main(process.argv.slice(2)));
