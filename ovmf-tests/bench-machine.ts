import {readFile, rm} from 'node:fs/promises';
import {join} from 'node:path';
import {startMachine} from '../builder/boot/machine.ts';
import {buildIso, failure, findPort, folder, listTestDisks, makeAssets, makeTestDisks} from './vm.ts';

/** The middle one of several figures. */
export const median = (all: readonly number[]) =>
	[...all].sort((a, b) => a - b)[Math.floor(all.length / 2)] ?? Number.NaN;

/**
 * Seconds that a machine takes when nothing is left to do, as its own clock says: all phases, from Node's start on; an
 * empty program of Node; and Ansible's playbook for the same state, at its second run. Medians of three, but of Ansible one.
 */
export async function benchMachine(): Promise<{noop: number; node: number; playbook: number}> {
	await makeAssets();
	const {iso, login} = await buildIso('ovmf-tests/profiles/bench.yaml');
	const sizes = {'NVME-SYSTEM': '20G', LEFT: '3G', RIGHT: '3G', FAST: '6G'};
	await makeTestDisks('bench', sizes);
	const own = join(folder, 'bench');
	await rm(own, {recursive: true, force: true});
	const machine = await startMachine({
		folder: own,
		firmware: 'uefi',
		memory: 4096,
		disks: listTestDisks('bench', sizes),
		cdrom: iso,
		mac: '52:54:00:62:75:01',
		wires: [{mac: '52:54:00:62:75:02', socket: join(folder, 'bench.sock'), listen: true}],
		sshPort: await findPort(),
		isolated: true,
		snapshot: false,
	});
	try {
		await machine.waitFor(/bringup: provision done.*/, 2400, failure);
		const program = await readFile('ovmf-tests/bench-playbook.yaml', 'utf8');
		await machine.run(login, ['tee', '/tmp/state.yaml'], program);
		const clock = async (...command: string[]) => {
			const script = `exec 2>&1; TIMEFORMAT=%R; time ${command.join(' ')} >/dev/null 2>&1`;
			const text = await machine.run(login, ['sudo', 'bash'], script);
			return Number(text.trim());
		};
		const rounds = async (...command: string[]) => {
			const all: number[] = [];
			for (let round = 0; round < 3; round++) all.push(await clock(...command));
			return median(all);
		};
		await clock('ansible-playbook', '-i', 'localhost,', '/tmp/state.yaml');
		const playbook = await clock('ansible-playbook', '-i', 'localhost,', '/tmp/state.yaml'); // minutes, so once
		const whole = await rounds('bringup', 'plan');
		const node = await rounds('node', '--eval', '0');
		return {noop: whole - node, node, playbook};
	} finally {
		await machine.cut();
	}
}
