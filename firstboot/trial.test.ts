import {mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {shutsOut} from './administrators.ts';
import {machineProbe} from './apply.ts';
import {foldersOf} from './folders.test.machine.ts';
import type {Step} from './phase.ts';
import {probeRecord} from './record.ts';
import {
	finishedPath,
	planRestore,
	planTrial,
	proveFromPath,
	restoringFolder,
	savedFolder,
	trialFolder,
	trialPath,
	trialSeconds,
} from './trial.ts';
import type {User} from './users.ts';

const keys = '/etc/ssh/authorized_keys.d/admin';
const network = '/etc/systemd/network/30-bringup-br0.network';

/** A machine that is reached over br0. */
function machine(files: Record<string, string> = {}, commands: Record<string, unknown> = {}) {
	const all: Record<string, string> = {[network]: '[Link]\nRequiredForOnline=routable\n', [finishedPath]: '', ...files};
	return probeRecord({
		commands: {
			'ip -json address show': [
				{ifname: 'br0', flags: ['LOWER_UP'], addr_info: [{local: '192.0.2.9', prefixlen: 24, scope: 'global'}]},
			],
			'ip -json -4 route show default dev br0': [{gateway: '192.0.2.1'}],
			'ip -json neighbour show dev br0': [],
			'arping -q -f -c 3 -w 3 -I br0 192.0.2.1': '',
			'journalctl --quiet --lines=1 --show-cursor --output=cat': 'a line\n-- cursor: s=1;i=2\n',
			...commands,
		},
		files: {...foldersOf(Object.keys(all)), ...all},
	});
}

const change: Step = {do: 'write', path: keys, content: 'new\n', mode: 0o644, why: 'let admin in by SSH key'};
const plan = (probe = machine(), lost = false) =>
	planTrial(probe, {subject: 'identity', content: 1, shutsOut: async () => lost, steps: [change]});
const trialOf = (steps: readonly Step[]) => {
	const note = steps.find(step => step.do === 'write' && step.path === trialPath);
	return note?.do === 'write' ? JSON.parse(note.content) : undefined;
};
const whys = (steps: readonly Step[]) => steps.map(({why}) => why);

test('the proof ends long before the timer, which starts anew with it', async t => {
	const steps = await plan();
	const proof = steps.findIndex(step => step.do === 'wait');
	const [timer, wait] = [steps[proof - 1], steps[proof]];
	t.is(timer?.do === 'run' ? timer.command.join(' ') : '', 'systemctl restart bringup-restore.timer');
	t.true(wait?.do === 'wait' && wait.seconds * 2 <= trialSeconds);
	t.false(
		steps.slice(proof + 1).some(step => step.do === 'run' && step.command[0] === 'sync'),
		'gigabytes of other files may wait to be written',
	);
});

test('a change that shuts everybody out who is known is kept only when somebody logs in', async t => {
	t.is(trialOf(await plan()).login, undefined);
	const steps = await plan(machine(), true);
	t.deepEqual(trialOf(steps).login, {from: 'anybody', cursor: 's=1;i=2'});
	t.true(whys(steps).some(why => /wait for a new SSH login from anybody/.test(why)));
});

test('who was named must log in, whatever else speaks for the change', async t => {
	const steps = await plan(machine({[proveFromPath]: '192.0.2.7\n'}));
	t.is(trialOf(steps).login.from, '192.0.2.7');
});

test('a controller that did not answer before need not answer after', async t => {
	const ping = 'ping -n -q -c 1 -W 2 192.0.2.50';
	const of = async (commands: Record<string, unknown>) =>
		trialOf(
			await planTrial(machine({}, commands), {
				subject: 'network',
				content: 1,
				shutsOut: async () => false,
				controller: '192.0.2.50',
				steps: [change],
			}),
		).controller;
	t.is(await of({[ping]: ''}), '192.0.2.50');
	const dead = machine();
	const probe = {
		...dead,
		output: async (command: readonly [string, ...string[]]) => {
			if (command[0] === 'ping') throw new Error('ping exited with 1');
			return dead.output(command);
		},
	};
	const wish = {subject: 'network', content: 1, shutsOut: async () => false, controller: '192.0.2.50'} as const;
	t.is(trialOf(await planTrial(probe, {...wish, steps: [change]})).controller, undefined);
});

const user = (name: string, sudo: boolean, ...sshKeys: string[]): User => ({name, sudo, sshKeys, groups: []});

test('a change of users shuts everybody out when no administrator keeps a key', async t => {
	const before = machine({
		[keys]: 'ssh-ed25519 AAAA one\nssh-ed25519 BBBB two\n',
		'/etc/ssh/authorized_keys.d/guest': 'ssh-ed25519 CCCC\n',
		'/etc/sudoers.d/10-bringup': 'admin ALL=(ALL:ALL) NOPASSWD: ALL\n',
	});
	t.false(await shutsOut([user('admin', true, 'ssh-ed25519 BBBB another comment')], before));
	t.true(await shutsOut([user('admin', true, 'ssh-ed25519 DDDD')], before));
	t.true(await shutsOut([user('admin', false, 'ssh-ed25519 AAAA one')], before), 'sudo is lost');
	t.true(await shutsOut([user('guest', true, 'ssh-ed25519 CCCC')], before), 'guest could not administer before');
	t.false(await shutsOut([user('admin', true, 'ssh-ed25519 DDDD')], machine()), 'nobody got in before');
});

const quote = (argument: string) => `'${argument.replaceAll("'", "'\\''")}'`;
const toShell = (steps: readonly Step[]) =>
	steps
		.flatMap(step => (step.do === 'run' && step.command[0] !== 'systemctl' ? [step.command.map(quote).join(' ')] : []))
		.join('\n');

/** Runs a script on a disk of one megabyte, with the programs of this one. */
async function onSmallDisk(script: string): Promise<string> {
	const folder = await mkdtemp(join(tmpdir(), 'bringup-trial-'));
	try {
		const setup = `set -e
mount -t tmpfs -o size=1m tmpfs ${folder}
cd ${folder}
mkdir -p usr etc/ssh/authorized_keys.d etc/ssh/sshd_config.d etc/sudoers.d var/lib/bringup run dev
mount --rbind /usr usr
for name in bin sbin lib lib64; do ln -s usr/$name $name; done
cat >script <<'END'
${script}
END
exec chroot . /bin/sh -e script
`;
		const path = `${folder}.sh`;
		await writeFile(path, setup);
		try {
			return await machineProbe.output(['unshare', '--user', '--map-root-user', '--mount', '/bin/sh', path]);
		} finally {
			await rm(path);
		}
	} finally {
		await rm(folder, {recursive: true});
	}
}

const files = {[keys]: 'old\n', '/etc/passwd': 'p\n', '/etc/shadow': 's\n', '/etc/group': 'g\n', '/etc/gshadow': 'h\n'};

test('a full disk does not keep the old state from coming back, nor a power cut on the way', async t => {
	const steps = await plan(machine(files));
	const arm = steps.slice(0, steps.indexOf(change));
	const write = Object.entries(files).map(([path, text]) => `printf %s ${quote(text)} >${path}`);
	const saved = Object.fromEntries(Object.entries(files).map(([path, text]) => [`${savedFolder}${path}`, text]));
	const now = {...files, ...saved, '/etc/ssh/authorized_keys.d/stranger': 'key\n'};
	const moment = {at: '', links: [], running: false, proven: true};
	const restore = await planRestore(machine(now), moment);
	const half = Object.fromEntries(Object.entries(files).map(([path, text]) => [`${restoringFolder}${path}`, text]));
	const again = await planRestore(machine({...files, ...half}), moment);
	const said = await onSmallDisk(`
${write.join('\n')}
${toShell(arm)}
echo new >${keys}.new
mv ${keys}.new ${keys}
rm /etc/shadow
echo stranger >/etc/ssh/authorized_keys.d/stranger
dd if=/dev/zero of=/fill bs=4k 2>/dev/null || echo full
${toShell(restore?.files ?? [])}
cat ${keys} /etc/shadow
ls /etc/ssh/authorized_keys.d
${toShell(again?.files ?? [])}
${toShell(again?.end ?? [])}
cat ${keys} /etc/shadow
ls ${trialFolder}`);
	t.is(said, 'full\nold\ns\nadmin\nold\ns\n');
});
