import {rm} from 'node:fs/promises';
import {isIP} from 'node:net';
import {setTimeout as sleep} from 'node:timers/promises';
import {apply, machineProbe} from './apply.ts';
import {findConsoles} from './consoles.ts';
import {writeDurably} from './files.ts';
import {readIpLinks} from './links.ts';
import {readLogins} from './logins.ts';
import {readMachine} from './machine-json.ts';
import type {Probe, Step} from './phase.ts';
import {findUnreachable, readAddresses} from './reach.ts';
import {planRestore, proveFromPath, readManagement, readTrial, reasonPath, type Trial} from './trial.ts';

/** Why nobody has shown yet that people still get in. */
async function findMissingLogin({login}: Trial, probe: Probe): Promise<string | undefined> {
	if (login === undefined) return undefined;
	const seen = await readLogins(probe, login.cursor);
	if (login.from === 'anybody' ? seen.length > 0 : seen.includes(login.from)) return undefined;
	return `nobody has logged in over SSH from ${login.from === 'anybody' ? 'anywhere' : login.from} since the change`;
}

/**
 * Why this machine cannot be reached, as the trial asks it; the answer is kept for whoever ends the trial. It may end
 * while this asks once more: until then the answer before holds. What could not be asked is no verdict.
 */
async function prove(management: string, trial: Trial, probe: Probe): Promise<string | undefined> {
	let reason: string | undefined;
	try {
		const {controller, neighbours} = trial;
		reason =
			(await findUnreachable({management, controller, neighbours}, probe)) ?? (await findMissingLogin(trial, probe));
	} finally {
		await writeDurably(reasonPath, reason ?? '', 0o644);
	}
	return reason;
}

/** Says whether the machine can be reached, and why not. */
export async function printReachable(): Promise<boolean> {
	const {network} = await readMachine(machineProbe);
	const management = network?.management ?? (await readManagement(machineProbe));
	if (management === undefined) throw new Error('the profile of this machine has no section network');
	const trial = await readTrial(machineProbe);
	const reason = trial
		? await prove(management, trial, machineProbe)
		: await findUnreachable({management, controller: network?.controller}, machineProbe);
	if (reason !== undefined) throw new Error(reason);
	const {addresses} = (await readAddresses(machineProbe)).get(management) ?? {addresses: []};
	process.stdout.write(`${management} ${addresses.join(' ')}: reachable\n`);
	return true;
}

/** Runs with the word of somebody who will log in from an address, where the flags have one. */
export async function withPromise(flags: readonly string[], run: () => Promise<boolean>): Promise<boolean> {
	const at = flags.indexOf('--prove-from');
	if (at < 0) return run();
	const from = flags[at + 1] ?? '';
	if (!isIP(from)) throw new Error(`--prove-from: expected an IP address, found ${from || 'nothing'}`);
	await writeDurably(proveFromPath, `${from}\n`, 0o644);
	return run().finally(() => rm(proveFromPath, {force: true}));
}

/** Whether the network that was put back works; it may take a while. */
async function isBack(management: string): Promise<boolean> {
	for (let tries = 0; tries < 30; tries++) {
		if ((await findUnreachable({management}, machineProbe)) === undefined) return true;
		await sleep(2000);
	}
	return false;
}

/** Puts back what was in force: a change was not proven in time, or the power was cut before it could be. */
export async function restore({proven}: {proven: boolean}): Promise<boolean> {
	const toConsoles = await findConsoles(machineProbe);
	const say = (line: string) => {
		process.stdout.write(`${line}\n`);
		toConsoles(line);
	};
	const running = (await machineProbe.read('/run/systemd/netif/state')) !== undefined;
	// What the links are only the running system needs to know; the files come back also where nobody can say.
	const links = running ? await readIpLinks(machineProbe).catch(() => []) : [];
	const names = links.map(({ifname}) => ifname);
	const trial = await readTrial(machineProbe).catch(() => undefined);
	const plan = await planRestore(machineProbe, {at: new Date().toISOString(), links: names, running, proven});
	if (plan === undefined) return true;
	/** Does them all, whatever fails. */
	const attempt = async (steps: readonly Step[]): Promise<boolean> => {
		let whole = true;
		for (const step of steps) {
			say(`bringup: ${step.why}`);
			await apply(step, say).catch(error => {
				whole = false;
				say(`bringup: could not: ${error instanceof Error ? error.message : String(error)}`);
			});
		}
		return whole;
	};
	const back = await attempt(plan.files);
	await attempt(plan.effects);
	if (!back) throw new Error('not everything is back; it is tried again in ten seconds');
	const recorded = await attempt(plan.record);
	await attempt(plan.end);
	const management = await readManagement(machineProbe);
	if (trial?.subject !== 'network' || plan.record.length === 0 || !recorded || management === undefined) return true;
	if (await isBack(management)) return true;
	// What is in force is not what the files say, and a boot makes it so. The change is given up: it comes to this once.
	say('bringup: the last good network does not work without a reboot');
	await apply({do: 'reboot', why: 'reboot'}, say);
	return true;
}
