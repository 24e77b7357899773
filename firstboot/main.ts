#!/usr/bin/env node
import {startupSnapshot} from 'node:v8';
import {apply, CommandError, machineProbe, openDoor} from './apply.ts';
import {findConsoles} from './consoles.ts';
import {planStart} from './k3s-start.ts';
import {parseMachine, readMachine, readText} from './machine-json.ts';
import {ofMedium, runSequence} from './perform.ts';
import {printReachable, restoreNetwork} from './restore.ts';
import {planSequence, sequences} from './sequence.ts';
import {printPlan, printRecord, printStatus} from './show.ts';
import {type Known, learn, readStamp, recall} from './snapshot.ts';

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

async function startK3s(): Promise<boolean> {
	const {kubernetes} = await readMachine(machineProbe);
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
		const done = await runSequence(command as keyof typeof sequences, await readMachine(machineProbe), opener(flags));
		if (done && command === 'provision') await startSnapshot();
		return done;
	}
	if (command === 'start-k3s') return startK3s();
	if (command === 'serve-packages') {
		const {servePackages} = await import('./packages-server.ts'); // no snapshot can have an HTTP server in it
		return Boolean(await servePackages(flags[0] ?? '', 80));
	}
	if (command === 'status') return printStatus(json);
	if (command === 'reachable') return printReachable();
	if (command === 'restore-network') return restoreNetwork();
	if (command === 'plan' && flags.includes('--record')) await printRecord();
	else if (command === 'plan')
		printPlan(await planSequence(sequences.provision, await readMachine(machineProbe), machineProbe), json);
	else process.stdout.write(usage);
	return command === 'plan' || command === '--help' || command === undefined;
}

const opener = (flags: readonly string[]) => (say: (line: string) => void) =>
	openDoor(say, {confined: flags.includes('--confined')});

/** What a process that starts from the snapshot can do: say that nothing is left to do. Else it sends the caller to the program itself, and waits for no question. */
async function mainFromSnapshot(known: Known | undefined, [command, ...flags]: readonly string[]): Promise<boolean> {
	const isSame = known !== undefined && known.stamp === readStamp() && known.text === (await readText(machineProbe));
	if (!isSame || flags.includes('--record')) return process.exit(1);
	const recalled = await recall(known, opener(flags)(() => {}).probe).catch(() => undefined);
	if (recalled === undefined) return process.exit(1);
	const refuse = () => Promise.reject(new Error('there is something to do'));
	if (command === 'provision')
		return runSequence(command, known.machine, () => ({probe: recalled.probe, apply: refuse}));
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
	const text = await readText(machineProbe);
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
