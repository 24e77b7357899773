import test from 'ava';
import type {Probe, Step} from './phase.ts';
import {probeRecord} from './record.ts';
import {planNoRecovery, planRecovery} from './recovery.ts';
import {identitySchema, planUsers} from './users.ts';

const key = 'ssh-ed25519 AAAA admin';
const record = '/var/lib/bringup/users.json';
const hash = '$y$j9T$abcdefgh$0123456789012345678901234567890123456789012';

type Files = Record<string, string>;

const blank: Files = {
	'/etc/passwd': 'root:x:0:0:root:/root:/bin/sh\ncarol:x:1500:1500::/home/carol:/bin/sh\n',
	'/etc/shadow': 'root:*:1::::::\ncarol:$6$other:1::::::\n',
	'/etc/group': 'root:x:0:\nsudo:x:27:carol\nlibvirt:x:120:carol\n',
	'/etc/bringup/secrets/env-ADMIN': `${hash}\n`,
	'/etc/bringup/secrets/recovery': `${hash}\n`,
};

const probe = (files: Files): Probe => {
	const found = probeRecord({commands: {}, files});
	const list: Probe['list'] = async path => {
		const names = Object.keys(files).filter(name => name.startsWith(`${path}/`));
		if (path === '/home') names.push('/home/admin', '/home/bob');
		const listed = {type: path === '/home' ? 'd' : 'f', size: '0', time: '0', inode: '0', target: ''};
		return names.length > 0 ? new Map(names.map(name => [name.slice(path.length + 1), listed])) : undefined;
	};
	return {...found, list};
};

/** What usermod(8), gpasswd(1) and chpasswd(8) do to their files. */
function perform(before: Files, steps: readonly Step[]): Files {
	const files = {...before};
	const change = (path: string, name: string, at: number, to: (value: string) => string) => {
		const lines = (files[path] ?? '').split('\n').map(line => line.split(':'));
		files[path] = lines
			.map(line => (line[0] === name ? line.map((value, index) => (index === at ? to(value) : value)) : line).join(':'))
			.join('\n');
	};
	for (const step of steps) {
		if (step.do === 'write') files[step.path] = step.content;
		if (step.do !== 'run') continue;
		const [program, ...args] = step.command;
		const last = args.at(-1) ?? '';
		const option = (name: string) => (args.includes(name) ? args[args.indexOf(name) + 1] : undefined);
		if (program === 'rm') delete files[last];
		if (program === 'useradd') {
			files['/etc/passwd'] += `${last}:x:${args.includes('--system') ? 998 : 1000}:1000::/home/${last}:/bin/bash\n`;
			files['/etc/shadow'] += `${last}:*:1::::::\n`;
			if (!args.includes('--system')) files['/etc/group'] += `${last}:x:1000:\n`;
		}
		if (program === 'chpasswd')
			change('/etc/shadow', step.stdin?.split(':')[0] ?? '', 1, () => step.stdin?.trim().split(':')[1] ?? '');
		if (program === 'usermod') {
			const [expiry, password] = [option('--expiredate'), option('--password')];
			if (args.includes('--lock')) change('/etc/shadow', last, 1, value => `!${value}`);
			if (args.includes('--unlock')) change('/etc/shadow', last, 1, value => value.replace(/^!/, ''));
			if (expiry !== undefined) change('/etc/shadow', last, 7, () => expiry);
			if (password !== undefined) change('/etc/shadow', last, 1, () => password);
			for (const group of option('--groups')?.split(',') ?? [])
				change('/etc/group', group, 3, value => [...value.split(',').filter(Boolean), last].join(','));
		}
		if (program === 'gpasswd')
			change('/etc/group', last, 3, value =>
				value
					.split(',')
					.filter(name => name !== args[1])
					.join(','),
			);
	}
	return files;
}

const plan = (users: object[], files: Files) => planUsers(identitySchema.parse({users}).users, probe(files));
const admin = {name: 'admin', sshKeys: [key]};
const bob = {name: 'bob', sshKeys: [key], groups: ['libvirt'], password: {secret: {env: 'ADMIN'}}};
const lineOf = (files: Files, path: string, name: string) =>
	(files[path] ?? '').split('\n').find(line => line.startsWith(`${name}:`));

test('a user who is taken out of the profile can log in no more, and what is not of bringup stays', async t => {
	const both = perform(blank, await plan([admin, bob], blank));
	t.deepEqual(await plan([admin, bob], both), []);
	t.is(lineOf(both, '/etc/group', 'libvirt'), 'libvirt:x:120:carol,bob');
	const alone = perform(both, await plan([admin], both));
	t.deepEqual(await plan([admin], alone), []);
	t.is(alone['/etc/ssh/authorized_keys.d/bob'], undefined);
	t.is(lineOf(alone, '/etc/shadow', 'bob'), `bob:!${hash}:1:::::1:`);
	t.is(lineOf(alone, '/etc/group', 'sudo'), 'sudo:x:27:carol,admin');
	t.is(lineOf(alone, '/etc/group', 'libvirt'), 'libvirt:x:120:carol');
	t.notRegex(alone['/etc/sudoers.d/10-bringup'] ?? '', /bob/);
	t.truthy(lineOf(alone, '/etc/passwd', 'bob')); // his files have an owner
	t.is(lineOf(alone, '/etc/shadow', 'carol'), lineOf(blank, '/etc/shadow', 'carol'));
});

test('cut after any step, what was given is known and taken away', async t => {
	const before = perform(blank, await plan([admin], blank));
	const adding = await plan([admin, bob], before);
	for (let cut = 0; cut <= adding.length; cut++) {
		const half = perform(before, adding.slice(0, cut));
		const removing = await plan([admin], half);
		for (let again = 0; again <= removing.length; again++) {
			const found = perform(half, removing.slice(0, again));
			const done = perform(found, await plan([admin], found));
			t.deepEqual(await plan([admin], done), [], `cut after ${cut} and ${again}`);
			t.is(done['/etc/ssh/authorized_keys.d/bob'], undefined);
			t.regex(lineOf(done, '/etc/shadow', 'bob') ?? 'bob:!::::::1:', /^bob:!.*:1:$/);
			t.notRegex(lineOf(done, '/etc/group', 'libvirt') ?? '', /bob/);
		}
	}
});

test('groups, sudo and a password that the profile had given are taken back, and no others', async t => {
	const made = perform(blank, await plan([admin, bob], blank));
	const byHand = {...made, '/etc/group': `${made['/etc/group']}docker:x:990:bob\n`};
	const less = {name: 'bob', sshKeys: [key], sudo: false};
	const done = perform(byHand, await plan([admin, less], byHand));
	t.deepEqual(await plan([admin, less], done), []);
	t.is(lineOf(done, '/etc/shadow', 'bob'), 'bob:*:1::::::');
	t.is(lineOf(done, '/etc/group', 'sudo'), 'sudo:x:27:carol,admin');
	t.is(lineOf(done, '/etc/group', 'libvirt'), 'libvirt:x:120:carol');
	t.is(lineOf(done, '/etc/group', 'docker'), 'docker:x:990:bob');
	t.is(done['/etc/sudoers.d/10-bringup'], 'admin ALL=(ALL:ALL) NOPASSWD: ALL\n');
});

test('a password that a person gave a user of the profile is his', async t => {
	const made = perform(blank, await plan([admin], blank));
	const changed = {...made, '/etc/shadow': (made['/etc/shadow'] ?? '').replace('admin:*', 'admin:$6$own')};
	t.deepEqual(await plan([admin], changed), []);
});

test('a user who comes back is let in again, with the password of the profile or none', async t => {
	const both = perform(blank, await plan([admin, bob], blank));
	const alone = perform(both, await plan([admin], both));
	const back = perform(alone, await plan([admin, bob], alone));
	t.deepEqual(await plan([admin, bob], back), []);
	t.is(lineOf(back, '/etc/shadow', 'bob'), `bob:${hash}:1::::::`);
	const without = {name: 'bob', sshKeys: [key]};
	const bare = perform(alone, await plan([admin, without], alone));
	t.deepEqual(await plan([admin, without], bare), []);
	t.is(lineOf(bare, '/etc/shadow', 'bob'), 'bob:*:1::::::');
});

test('what a person does later with an account that was shut, or shuts himself, is left alone', async t => {
	const both = perform(blank, await plan([admin, bob], blank));
	const alone = perform(both, await plan([admin], both));
	const opened = {
		...alone,
		'/etc/shadow': (alone['/etc/shadow'] ?? '').replace(`bob:!${hash}:1:::::1:`, 'bob:$6$own:1::::::'),
	};
	t.deepEqual(await plan([admin], opened), []);
	const shut = {...both, '/etc/shadow': (both['/etc/shadow'] ?? '').replace('admin:*:1::::::', 'admin:!*:1:::::1:')};
	t.deepEqual(await plan([admin, bob], shut), []);
});

test('a machine of before the record has the keys of its users, and they are taken away too', async t => {
	const {[record]: _, ...old} = perform(blank, await plan([admin, bob], blank));
	const done = perform(old, await plan([admin], old));
	t.deepEqual(await plan([admin], done), []);
	t.is(done['/etc/ssh/authorized_keys.d/bob'], undefined);
	t.regex(lineOf(done, '/etc/shadow', 'bob') ?? '', /^bob:!.*:1:$/);
});

test('the recovery account that the profile does without is shut, and opened when it is wanted again', async t => {
	const made = perform(blank, await planRecovery(probe(blank)));
	t.deepEqual(await planRecovery(probe(made)), []);
	const steps = await planNoRecovery(probe(made));
	for (let cut = 0; cut <= steps.length; cut++) {
		const found = perform(made, steps.slice(0, cut));
		const done = perform(found, await planNoRecovery(probe(found)));
		t.deepEqual(await planNoRecovery(probe(done)), [], `cut after ${cut}`);
		t.is(lineOf(done, '/etc/shadow', 'recovery'), `recovery:!${hash}:1:::::1:`);
		t.is(done['/etc/sudoers.d/20-bringup-recovery'], undefined);
		const again = perform(done, await planRecovery(probe(done)));
		t.is(lineOf(again, '/etc/shadow', 'recovery'), `recovery:${hash}:1::::::`);
		t.deepEqual(await planRecovery(probe(again)), []);
	}
	t.deepEqual(await planNoRecovery(probe(blank)), []);
});
