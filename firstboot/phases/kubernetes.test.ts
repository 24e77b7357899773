import test from 'ava';
import {foldersOf} from '../folders.test.machine.ts';
import {authorityFiles, type Kubernetes, kubernetesSchema, startedPath} from '../k3s.ts';
import {probeRecord} from '../record.ts';
import {
	agent,
	archive,
	assetLines,
	binary,
	blank,
	done,
	doneLines,
	enabled,
	finish,
	line,
	looping,
	machine,
	own,
	queued,
	server,
	show,
	starting,
	whys,
	written,
} from './kubernetes.test.machine.ts';
import {kubernetes} from './kubernetes.ts';

test('a blank machine becomes a server in one plan', async t => {
	const steps = await kubernetes.plan(server, machine());
	t.deepEqual(
		whys(steps).filter(why => !why.startsWith('give the cluster')),
		[
			'copy /usr/local/bin/k3s from the assets',
			'make /usr/local/bin/k3s durable',
			'put /usr/local/bin/k3s in place',
			'note which asset /usr/local/bin/k3s is a copy of',
			'let /usr/local/bin/kubectl be k3s',
			'let /usr/local/bin/crictl be k3s',
			'let /usr/local/bin/ctr be k3s',
			'make /var/lib/rancher/k3s/agent/images',
			`give K3s the images of /var/lib/rancher/k3s/agent/images/${archive}`,
			'note the files of k3s that are made',
			'make /var/lib/rancher/k3s/server',
			'write the manifest hello.yaml',
			'configure K3s',
			'write k3s.service',
			'note what K3s shall be started with',
			'let systemd read k3s.service',
			'start k3s.service at every boot',
			'start k3s.service',
			'wait until the node node-1 is Ready (journalctl --unit=k3s.service says what it is at)',
			'wait until containerd has 1 images',
			'note that the node was complete',
		],
	);
	t.is(
		written(steps)['/etc/rancher/k3s/config.yaml'],
		[
			'token-file: "/etc/bringup/secrets/kubernetes/token"',
			'agent-token-file: "/etc/bringup/secrets/kubernetes/agent-token"',
			'flannel-iface: "br0"',
			'resolv-conf: "/run/systemd/resolve/resolv.conf"',
			'disable: ["traefik","servicelb"]',
			'write-kubeconfig-mode: "0644"',
			'',
		].join('\n'),
	);
	t.is(written(steps)['/var/lib/rancher/k3s/server/tls/etcd/peer-ca.key'], 'PEM of etcd/peer-ca.key\n');
	for (const step of steps)
		if (step.do === 'write' && /tls|config\.yaml|manifests/.test(step.path)) t.is(step.mode, 0o600, step.path);
});

test('a finished machine needs nothing: running, starting, or waiting for the network after a boot', async t => {
	const files = await finish(kubernetes, server);
	t.deepEqual(await kubernetes.plan(server, machine(done(), files)), []);
	const {[startedPath]: _, ...booted} = files;
	for (const unit of [starting, queued])
		t.deepEqual(await kubernetes.plan(server, machine(done({[show('k3s.service')]: unit}), booted)), []);
});

test('cut before the start: the service is started and seen through', async t => {
	const files = await finish(kubernetes, server);
	const stopped = done({[show('k3s.service')]: 'ActiveState=inactive\nNeedDaemonReload=yes\n', [enabled]: ''});
	t.deepEqual(whys(await kubernetes.plan(server, machine(stopped, {...files, '/var/lib/bringup/k3s.seen': ''}))), [
		'let systemd read k3s.service',
		'start k3s.service at every boot',
		'start k3s.service',
		'wait until the node node-1 is Ready (journalctl --unit=k3s.service says what it is at)',
		'wait until containerd has 1 images',
		'note that the node was complete',
	]);
});

test('cut after the start: the node is waited for, and not started again', async t => {
	const {'/var/lib/bringup/k3s.seen': _, ...files} = await finish(kubernetes, server);
	t.is(whys(await kubernetes.plan(server, machine(done(), files))).length, 3);
});

test('a changed option restarts the service, also when the power went before that', async t => {
	const files = await finish(kubernetes, server);
	const changed = kubernetesSchema.parse({...server, config: {disable: ['traefik']}});
	const steps = await kubernetes.plan(changed, machine(done(), files));
	t.deepEqual(whys(steps).slice(0, 3), ['configure K3s', 'note what K3s shall be started with', 'start k3s.service']);
	const cut = await kubernetes.plan(changed, machine(done(), {...files, ...written(steps.slice(0, 2))}));
	t.is(whys(cut)[0], 'start k3s.service');
});

test('a copy that the power cut short is made again', async t => {
	const short = doneLines.map(text =>
		text.startsWith('/usr/local/bin/k3s\t') ? line('/usr/local/bin/k3s', '1') : text,
	);
	const steps = await kubernetes.plan(
		server,
		machine(done(), {...(await finish(kubernetes, server)), ...foldersOf(short)}),
	);
	t.is(whys(steps)[2], 'put /usr/local/bin/k3s in place');
});

test('an archive that left the profile goes, and one that a person put there stays', async t => {
	const folder = '/var/lib/rancher/k3s/agent/images';
	const old = [
		line(`${folder}/old.tar`, '87', `/var/lib/bringup/assets/${'d'.repeat(64)}`),
		line(`${folder}/mine.tar`),
	];
	const steps = await kubernetes.plan(
		server,
		machine(done(), {...(await finish(kubernetes, server)), ...foldersOf([...doneLines, ...old])}),
	);
	t.deepEqual(whys(steps), [`remove ${folder}/old.tar, which is not in the profile`]);
});

test('what the medium did not bring is fetched; its images are checked once they are known, by a shorter plan', async t => {
	const steps = await kubernetes.plan(server, machine({}, foldersOf([line(binary, '70000000')])));
	t.is(steps[0]?.do, 'fetch');
	const started = {[startedPath]: written(steps)['/etc/bringup/k3s.digest'] ?? ''};
	const files = {...written(steps), ...foldersOf(doneLines), ...started};
	const rest = await kubernetes.plan(server, machine(done(), files));
	t.deepEqual(whys(rest), ['wait until containerd has 1 images', 'note that the node was complete']);
	t.true(rest.length < steps.length);
});

test('a cluster that lives keeps its authorities', async t => {
	const lives = foldersOf([...assetLines, line('/var/lib/rancher/k3s/server/db')]);
	const rotated = {'/var/lib/rancher/k3s/server/tls/server-ca.crt': 'another\n'};
	t.false(
		whys(await kubernetes.plan(server, machine({}, {...lives, ...rotated}))).some(why =>
			why.startsWith('give the cluster'),
		),
	);
});

test('a further server and an agent get no authorities; only the first of several servers begins the cluster', async t => {
	const several = {...server, servers: 3};
	const config = async (config: Kubernetes) => {
		const steps = await kubernetes.plan(config, machine());
		const given = whys(steps).filter(why => why.startsWith('give the cluster')).length;
		return {given, text: written(steps)['/etc/rancher/k3s/config.yaml'] ?? ''};
	};
	const first = await config(several);
	t.is(first.given, authorityFiles.length);
	t.regex(first.text, /^cluster-init: true$/m);
	const second = await config({...several, server: 'https://192.0.2.11:6443'});
	t.is(second.given, 0);
	t.notRegex(second.text, /cluster-init/);
	const {given, text} = await config(agent);
	t.is(given, 0);
	t.regex(text, /^token-file: ".*\/agent-token"\nserver: "https:\/\/192\.0\.2\.11:6443"\n/);
	t.notRegex(text, /agent-token-file/);
});

test('an agent is asked by the credentials that it has', async t => {
	const wait = (await kubernetes.plan(agent, machine())).find(({why}) => why.includes('Ready'));
	t.true(wait?.do === 'wait' && wait.until.includes('--kubeconfig=/var/lib/rancher/k3s/agent/kubelet.kubeconfig'));
});

test('a medium without the authorities is named, before K3s could make its own', async t => {
	const bare = probeRecord({commands: blank.commands, files: foldersOf(assetLines)});
	await t.throwsAsync(kubernetes.plan(server, bare), {
		message: /server-ca\.crt of cluster home.*build the medium again/,
	});
});

test('a service that fails again and again is waited for, so that the phase fails and says it', async t => {
	const steps = await kubernetes.plan(
		server,
		machine(done({[show('k3s.service')]: looping}), await finish(kubernetes, server)),
	);
	t.deepEqual(
		steps.map(step => step.do),
		['wait'],
	);
});

test('a damaged store makes the service start again, which mends it', async t => {
	const log = '/var/lib/rancher/k3s/agent/containerd/containerd.log';
	const text = 'msg="starting containerd"\npanic: invalid page type: 4: 10\ngo.etcd.io/bbolt.(*Cursor).search()\n';
	const steps = await kubernetes.plan(
		server,
		machine(done(), {...(await finish(kubernetes, server)), ...foldersOf([...doneLines, line(log)]), [log]: text}),
	);
	t.is(whys(steps)[0], "start k3s.service, which makes containerd's store anew (panic: invalid page type: 4: 10)");
	t.is(whys(steps)[1]?.slice(0, 10), 'wait until');
});

test('a secret in the registries is put in on the machine, in a file of mode 0600', async t => {
	const registries = {configs: {'registry.example': {auth: {username: 'me', password: {secret: {env: 'PASS'}}}}}};
	const config = kubernetesSchema.parse({...server, registries});
	const steps = await kubernetes.plan(config, machine({}, {'/etc/bringup/secrets/env-PASS': 'hidden\n'}));
	const step = steps.find(step => step.do === 'write' && step.path === '/etc/rancher/k3s/registries.yaml');
	t.true(step?.do === 'write' && step.mode === 0o600);
	t.is(JSON.parse(step?.do === 'write' ? step.content : '').configs['registry.example'].auth.password, 'hidden');
	t.false(JSON.stringify(steps.filter(other => other !== step)).includes('hidden'));
});

test('a machine that cannot answer is not taken for a blank one', async t => {
	for (const command of [show('k3s.service'), enabled])
		await t.throwsAsync(kubernetes.plan(server, machine({[command]: undefined})), {message: /has no answer/});
});

test('what K3s would not read is refused in the profile', t => {
	const wrong = [
		{images: {'images.zip': own('c')}},
		{manifests: {'../evil.yaml': 'a: 1\n'}},
		{server: 'http://192.0.2.11:6443'},
		{cluster: '../home'},
		{config: {'node-label+': ['a=b']}},
	];
	for (const fields of wrong)
		t.false(kubernetesSchema.safeParse({...server, ...fields}).success, JSON.stringify(fields));
});
