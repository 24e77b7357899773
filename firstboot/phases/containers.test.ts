import test from 'ava';
import type {Probe} from '../phase.ts';
import {probeRecord} from '../record.ts';
import {
	assets,
	blank,
	config,
	done,
	folder,
	machine,
	oneshot,
	parse,
	services,
	state,
	storage,
	there,
	units,
	web,
	whys,
} from './containers.test.machine.ts';
import {containers} from './containers.ts';

test('a machine that runs its containers needs nothing', async t => {
	t.deepEqual(await containers.plan(config, machine()), []);
});

test('a blank machine gets all of it in one plan: images before the units that run with them', async t => {
	const steps = await containers.plan(config, probeRecord({...blank, files: {...blank.files, ...there}}));
	t.deepEqual(whys(steps), [
		'make the group web',
		'make the user web, who logs in nowhere',
		'write the range of web to /etc/subuid',
		'write the range of web to /etc/subgid',
		'have the managers of the container users started at boot',
		'let systemd see it',
		'let web run without a login',
		'start the manager of web',
		'check the archive of localhost/web:1',
		'load localhost/web:1 for web',
		'make localhost/web:1 durable',
		'mark localhost/web:1 as loaded; its archive must hold it under this name',
		'note the secrets of web that are made',
		'hand web the secret token',
		'store the secret token of web',
		'remove the copy in memory',
		'make it durable',
		`write ${folder}/2001/note.txt`,
		`write ${folder}/2001/web.container`,
		`write ${folder}/2001/once.container`,
		`write ${folder}/2001/data.volume`,
		'have the units read of web',
		'ask for the network that containers wait for, 90 s at most',
		'start web.service, once.service (their log: journalctl _UID=2001) of web',
	]);
	const subuid = steps.find(step => step.do === 'write' && step.path === '/etc/subuid');
	t.is(subuid?.do === 'write' ? subuid.content : '', 'admin:100000:65536\nweb:10065536:65536\n');
	t.false(JSON.stringify(steps.map(step => ({...step, stdin: undefined}))).includes('s3cret'));
});

test('a power cut inside useradd: the account is completed', async t => {
	const files = {'/etc/shadow': 'root:*:20778:0:99999:7:::\n'};
	t.deepEqual(whys(await containers.plan(config, machine({}, {...files, '/home/': ''}))), [
		'complete the account of web',
		'make the home of web',
	]);
});

test('cut between the load and its mark: what podman has is not trusted, and the units stand still meanwhile', async t => {
	const images = JSON.stringify([{id: '933587208be9', names: ['localhost/web:1']}]);
	const probe = machine({}, {...there, [`${storage}/overlay-images/images.json`]: images});
	t.deepEqual(whys(await containers.plan(config, probe)), [
		'stop web.service of web',
		'remove what an interrupted load left in the images of web',
		'check the archive of localhost/web:1',
		'load localhost/web:1 for web',
		'make localhost/web:1 durable',
		'mark localhost/web:1 as loaded; its archive must hold it under this name',
		'have the units read of web',
		'ask for the network that containers wait for, 90 s at most',
		'restart web.service (their log: journalctl _UID=2001) of web',
		'start once.service (their log: journalctl _UID=2001) of web',
	]);
});

test('an archive that has changed is loaded anew; one that another image came from does not count', async t => {
	const changed = parse({...web, images: {'localhost/web:1': {asset: {file: 'web.tar', sha256: 'a'.repeat(64)}}}});
	const probe = machine({}, {[assets]: `${'a'.repeat(64)}\n`});
	t.true(whys(await containers.plan(changed, probe)).includes('load localhost/web:1 for web'));
});

test('a secret that has changed restarts what uses it, and nothing else', async t => {
	const steps = await containers.plan(config, machine({}, {'/etc/bringup/secrets/env-TOKEN': 'new\n'}));
	t.deepEqual(whys(steps).slice(0, 4), [
		'hand web the secret token',
		'store the secret token of web',
		'remove the copy in memory',
		'make it durable',
	]);
	t.is(steps[0]?.do === 'run' ? steps[0].stdin : '', 'new');
	t.is(whys(steps).at(-1), 'restart web.service (their log: journalctl _UID=2001) of web');
});

test('a power cut that left the secrets empty: they are removed and made again', async t => {
	const probe = machine({}, {[`${storage}/secrets/filedriver/secretsdata.json`]: ''});
	t.deepEqual(whys(await containers.plan(config, probe)).slice(0, 2), [
		'remove the damaged secrets of web',
		'hand web the secret token',
	]);
});

test('a volume that changes restarts the containers that name it', async t => {
	const steps = await containers.plan(config, machine({}, {[`${folder}/2001/data.volume`]: '[Volume]\nUser=1\n'}));
	t.is(whys(steps).at(-1), 'restart web.service, data-volume.service (their log: journalctl _UID=2001) of web');
});

test('a file that the profile does not name is removed, and its service stopped; another user’s is not', async t => {
	const listed = {[`${folder}/2001/`]: `${done.files[`${folder}/2001/`]}old.pod\n.x.bringup\n`};
	const shown = {[`${services} old-pod.service`]: `${done.commands[services]}\n${state('old-pod.service', 'active')}`};
	const steps = await containers.plan(config, machine(shown, {...listed, [`${folder}/2001/old.pod`]: '[Pod]\n'}));
	t.deepEqual(whys(steps), [
		'stop old-pod.service, no longer in the profile, of web',
		'remove what the profile no longer has',
		'have the units read of web',
	]);
	const [, rm] = steps;
	t.deepEqual(rm?.do === 'run' ? rm.command.slice(2) : [], [`${folder}/2001/old.pod`, `${folder}/2001/.x.bringup`]);
});

test('units that the manager has not read, that failed, or that somebody stopped', async t => {
	const others = `\n${state('once.service', 'inactive', oneshot)}\n${state('data-volume.service', 'active', oneshot)}`;
	const plan = async (web: string) => whys(await containers.plan(config, machine({[services]: web + others}))).at(-1);
	const start = 'start web.service (their log: journalctl _UID=2001) of web';
	t.is(await plan(state('web.service', 'failed')), start);
	t.is(await plan(state('web.service', 'inactive')), start);
	t.is(await plan(state('web.service', 'inactive').replace('LoadState=loaded', 'LoadState=not-found')), start);
	const unread = state('web.service', 'active').replace('NeedDaemonReload=no', 'NeedDaemonReload=yes');
	t.is(await plan(unread), 'restart web.service (their log: journalctl _UID=2001) of web');
});

test('units on their way up after a boot need nothing', async t => {
	const waiting = [
		state('web.service', 'inactive', 'Type=notify\nJob=148\nNeedDaemonReload=no'),
		state('once.service', 'activating', oneshot),
		state('data-volume.service', 'inactive', oneshot),
	];
	t.deepEqual(await containers.plan(config, machine({[services]: waiting.join('\n')})), []);
});

test('a range that changes under a user who has containers', async t => {
	const probe = machine({}, {'/etc/subuid': 'web:500000:65536\nadmin:100000:65536\n'});
	const steps = await containers.plan(config, probe);
	t.deepEqual(whys(steps), [
		'write the range of web to /etc/subuid',
		'have the containers of web take their new ranges',
	]);
	t.is(steps[0]?.do === 'write' ? steps[0].content : '', 'admin:100000:65536\nweb:10065536:65536\n');
});

test('a name or number that is taken is told, with who has it', async t => {
	const passwd = (line: string) => machine({}, {'/etc/passwd': `root:x:0:0::/root:/bin/bash\n${line}\n`});
	await t.throwsAsync(containers.plan(config, passwd('web:x:1001:1001::/home/web:/bin/bash')), {
		message:
			'containers.users.web.uid is 2001, but there is a user web with the number 1001; take another name or number',
	});
	await t.throwsAsync(containers.plan(config, passwd('eve:x:2001:2001::/home/eve:/bin/bash')), {
		message: /there is a user eve with the number 2001/,
	});
});

test('a machine that cannot answer is not taken for a blank one', async t => {
	const mute: Probe = {...machine(), output: () => Promise.reject(new Error('systemctl exited with 1'))};
	await t.throwsAsync(containers.plan(config, mute), {message: 'systemctl exited with 1'});
	await t.throwsAsync(containers.plan(config, machine({[units]: undefined})), {message: /no answer to: systemctl/});
	await t.throwsAsync(containers.plan(config, machine({}, {'/etc/passwd': undefined})), {
		message: '/etc/passwd is missing',
	});
	await t.throwsAsync(containers.plan(config, machine({}, {'/etc/bringup/secrets/env-TOKEN': undefined})), {
		message: /the secret token of web is not in .*build the medium again/,
	});
	await t.throwsAsync(containers.plan(config, machine({}, {[`${storage}/overlay-images/images.json`]: ''})), {
		message: /images\.json is damaged; remove it/,
	});
});
