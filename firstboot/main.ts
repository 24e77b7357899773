#!/usr/bin/env node
import {startupSnapshot} from 'node:v8';
import {apply, CommandError, machineProbe, openDoor} from './apply.ts';
import {findConsoles} from './consoles.ts';
import {planStart} from './k3s-start.ts';
import {takeLockNow} from './lock.ts';
import {parseMachine, readMachine, readSections, readText} from './machine-json.ts';
import {ofMedium, runSequence} from './perform.ts';
import {printReachable, restore, withPromise} from './restore.ts';
import {checkRoot} from './root.ts';
import {previewSequence} from './run.ts';
import {sequences} from './sequence.ts';
import {printPlan, printRecord, printStatus} from './show.ts';
import {type Known, learn, readStamp, recall} from './snapshot.ts';

const usage = `usage: bringup status [--json]              what the last run did
       bringup plan [--json] [--record]      what provisioning would do now; --record shows what it asked of the machine
       bringup reachable                     whether this machine can be reached over its management link
       bringup provision [--confined]        do it (the service bringup does so at every boot)
                 [--prove-from ADDRESS]      keep a change of network, firewall or users only when somebody logs in
                                             from there, anew and over SSH
       bringup start-k3s                     what K3s needs at each start (its service does so by itself)
       bringup install                       erase and install this machine (the medium does so by itself)
       bringup choose | claim | complete     the parts of it that debian-installer runs
       bringup template                      make a golden image of this machine and seal it (bringup bake does so)
       bringup serve-packages FOLDER         what its packages come from there
`;

async function startK3s(): Promise<boolean> {
	const {kubernetes} = await readSections(machineProbe);
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

async function plan(flags: readonly string[]): Promise<boolean> {
	if (flags.includes('--record')) return printRecord();
	const previews = await previewSequence(sequences.provision, await readMachine(machineProbe), machineProbe);
	return printPlan(previews, flags.includes('--json'));
}

async function runAndLearn(name: keyof typeof sequences, flags: readonly string[]): Promise<boolean> {
	const done = await runSequence(name, {confined: flags.includes('--confined')});
	if (done && name === 'provision') await startSnapshot();
	return done;
}

/** What each word does, and whether all went well. */
const commands: Record<string, (flags: readonly string[]) => Promise<boolean>> = {
	...Object.fromEntries(
		Object.keys(ofMedium).map(name => [
			name,
			(flags: readonly string[]) => runAndLearn(name as keyof typeof sequences, flags),
		]),
	),
	provision: flags => withPromise(flags, () => runAndLearn('provision', flags)),
	status: flags => printStatus(flags.includes('--json')),
	plan,
	reachable: () => printReachable(),
	restore: flags => restore({proven: !flags.includes('--unproven')}),
	'start-k3s': () => startK3s(),
	'serve-packages': async ([folder = '']) => {
		const {servePackages} = await import('./packages-server.ts'); // no snapshot can have an HTTP server in it
		await servePackages(folder, 80);
		return true;
	},
};

async function main([command = '--help', ...flags]: readonly string[]): Promise<boolean> {
	const run = Object.hasOwn(commands, command) ? commands[command] : undefined;
	if (run === undefined) {
		process.stdout.write(usage);
		return command === '--help';
	}
	checkRoot(command, flags, process.getuid?.());
	return run(flags);
}

/** What a process that starts from the snapshot can do: say that nothing is left to do. Else it sends the caller to the program itself, and waits for nobody. */
async function mainFromSnapshot(known: Known | undefined, [command, ...flags]: readonly string[]): Promise<boolean> {
	const isSame = known !== undefined && known.stamp === readStamp() && known.text === (await readText(machineProbe));
	if (!isSame || flags.includes('--record')) return process.exit(1);
	const confined = flags.includes('--confined');
	if (command === 'provision' && !(await takeLockNow(command))) return process.exit(1);
	const recalled = await recall(known, openDoor(() => {}, {confined}).probe).catch(() => undefined);
	if (recalled === undefined) return process.exit(1);
	if (command !== 'provision') return printPlan(recalled.plans, flags.includes('--json'));
	return runSequence(command, {confined, recalled: {machine: known.machine, probe: recalled.probe}});
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
	if (process.getuid?.() !== 0) return;
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
