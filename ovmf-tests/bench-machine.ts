import {readFile, rm} from 'node:fs/promises';
import {join} from 'node:path';
import {startMachine} from '../builder/boot/machine.ts';
import {buildIso, failure, findPort, folder, listTestDisks, makeAssets, makeTestDisks} from './vm.ts';

/** The middle one of several figures. */
export const median = (all: readonly number[]) =>
	[...all].sort((a, b) => a - b)[Math.floor(all.length / 2)] ?? Number.NaN;

/** Seconds on a machine that has nothing left to do, by its own clock. */
export interface Figures {
	/** `bringup plan`, all phases, from Node's start on. */
	noop: number;
	/** The same without a snapshot of an earlier run. */
	plain: number;
	/** An empty program of Node. */
	node: number;
	/** Ansible's playbook for the same state. */
	playbook: number;
}

/** Medians of three, but of the playbook one run: that takes minutes where the machine is emulated. */
export async function benchMachine(): Promise<Figures> {
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
		const ask = (script: string) => machine.run(login, ['sudo', 'bash'], `exec 2>&1\n${script}`);
		await ask('timeout 600 sh -c "until test -e /var/cache/bringup/snapshot; do sleep 5; done" && sleep 60'); // it is idle then
		const clock = async (command: string) =>
			Number((await ask(`TIMEFORMAT=%R; time ${command} </dev/null >/tmp/output 2>&1`)).trim());
		const rounds = async (command: string) => {
			const all: number[] = [];
			for (let round = 0; round < 3; round++) all.push(await clock(command));
			return median(all);
		};
		const node = await rounds("node --eval '0'");
		const noop = await rounds('bringup plan');
		const plain = await rounds('node /usr/lib/bringup/firstboot.cjs plan');
		const play = async () => {
			const playbook = await clock('ansible-playbook -i localhost, /tmp/state.yaml');
			const said = await ask('cat /tmp/output');
			const [, changed, failed] = /changed=(\d+) .*failed=(\d+)/.exec(said) ?? [];
			if (failed !== '0') throw new Error(`the playbook failed: ${said}`);
			return changed === '0' ? playbook : undefined;
		};
		const playbook = (await play()) ?? (await play());
		if (playbook === undefined) throw new Error('the playbook changes something at its second run too');
		return {noop, plain, node, playbook};
	} finally {
		await machine.cut();
	}
}
