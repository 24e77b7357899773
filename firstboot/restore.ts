import {setTimeout as sleep} from 'node:timers/promises';
import {apply, machineProbe} from './apply.ts';
import {findManagement, planRestore, readNetworkFiles, trialPath} from './arming.ts';
import {findConsoles} from './consoles.ts';
import {readIpLinks} from './links.ts';
import {readMachine} from './machine-json.ts';
import {networkFolder} from './networkd.ts';
import {findUnreachable, readAddresses} from './reach.ts';

/** Says whether the machine can be reached, and why not. */
export async function printReachable(): Promise<boolean> {
	const {network} = await readMachine(machineProbe);
	if (!network) throw new Error('the profile of this machine has no section network');
	const reason = await findUnreachable(network, machineProbe);
	if (reason !== undefined) throw new Error(reason);
	const {addresses} = (await readAddresses(machineProbe)).get(network.management) ?? {addresses: []};
	process.stdout.write(`${network.management} ${addresses.join(' ')}: reachable\n`);
	return true;
}

/** Puts the last good network back: a change was not proven in time, or the power was cut before it could be. */
export async function restoreNetwork(): Promise<boolean> {
	// Of the section only the reason comes: a file that a person broke must not keep the old network away.
	const network = await readMachine(machineProbe).then(
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
