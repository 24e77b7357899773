import test from 'ava';
import {foldersOf} from '../folders.test.machine.ts';
import {kubernetesSchema} from '../k3s.ts';
import {probeRecord} from '../record.ts';
import {
	agent,
	done,
	doneLines,
	enabled,
	finish,
	line,
	machine,
	own,
	server,
	show,
	whys,
} from './kubernetes.test.machine.ts';
import {kubernetes} from './kubernetes.ts';

const registries = kubernetesSchema.parse({
	...server,
	registries: {mirrors: {'docker.io': {endpoint: ['https://mirror.example']}}},
});
const registriesPath = '/etc/rancher/k3s/registries.yaml';
const hello = '/var/lib/rancher/k3s/server/manifests/hello.yaml';

test('registries and manifests that left the profile are removed; what a person put there stays', async t => {
	const files = await finish(kubernetes, registries);
	const mine = line('/var/lib/rancher/k3s/server/manifests/mine.yaml');
	const lines = foldersOf([...doneLines, line(hello), mine]);
	const without = kubernetesSchema.parse({...server, manifests: {}});
	const steps = await kubernetes.plan(without, machine(done(), {...files, ...lines}));
	t.deepEqual(whys(steps).slice(0, 5), [
		`remove ${registriesPath}, which is not in the profile`,
		`remove ${hello}, which is not in the profile`,
		'note the files of k3s that are left',
		'note what K3s shall be started with',
		'start k3s.service',
	]);
	const rest = await finish(kubernetes, server);
	const own = {...rest, ...foldersOf([...doneLines, mine]), [registriesPath]: 'mine'};
	t.deepEqual(await kubernetes.plan(server, machine(done(), own)), []);
});

test('another role: the unit of the one before is stopped and removed first, and never two run', async t => {
	const units = {[show('k3s-agent.service')]: 'ActiveState=inactive', [enabled]: 'k3s.service\n'};
	const files: Record<string, string> = {
		...(await finish(kubernetes, server)),
		'/etc/bringup/secrets/kubernetes/agent-token': 'x',
	};
	const joins = kubernetesSchema.parse({...agent, manifests: {}});
	const steps = await kubernetes.plan(joins, machine(units, {...files, ...foldersOf([...doneLines, line(hello)])}));
	t.deepEqual(whys(steps).slice(0, 3), [
		'stop k3s.service, as this machine is an agent now',
		'remove k3s.service',
		'let systemd forget k3s.service',
	]);
	t.true(whys(steps).includes(`remove ${hello}, which is not in the profile`));
	t.true(whys(steps).indexOf('start k3s-agent.service') > 2);
	const foreign = {
		...files,
		'/etc/systemd/system/k3s-agent.service': '[Service]\nExecStart=/usr/local/bin/k3s agent\n',
	};
	t.deepEqual(await kubernetes.plan(server, machine(done(), foreign)), [], 'a unit of another maker');
	const both = {...files, '/etc/systemd/system/k3s-agent.service': files['/etc/systemd/system/k3s.service'] ?? ''};
	t.is(
		whys(await kubernetes.plan(server, machine(done(), both)))[0],
		'stop k3s-agent.service, as this machine is a server now',
	);
});

test('a profile without the section stops K3s and removes its registries; its data stay', async t => {
	const files = await finish(kubernetes, registries);
	const steps = (await kubernetes.absent?.(machine({}, {...files, [hello]: 'x'}))) ?? [];
	t.deepEqual(whys(steps), [
		'stop k3s.service, which is not in the profile; its pods end with the next boot, and its data stay',
		'remove k3s.service',
		'let systemd forget k3s.service',
		`remove ${registriesPath}, which is not in the profile`,
		`remove ${hello}, which is not in the profile`,
		'note the files of k3s that are left',
	]);
	t.deepEqual(await kubernetes.absent?.(probeRecord({commands: {}, files: {}})), []);
});

test('another asset of the same size and time is copied; and what is not on record', async t => {
	const files = await finish(kubernetes, server);
	const other = kubernetesSchema.parse({...server, binary: own('e')});
	const lines = foldersOf([...doneLines, line(`/var/lib/bringup/assets/${'e'.repeat(64)}`, '70000000')]);
	const steps = await kubernetes.plan(other, machine(done(), {...files, ...lines}));
	t.is(whys(steps)[0], 'copy /usr/local/bin/k3s from the assets');
	t.is(whys(steps)[3], 'note which asset /usr/local/bin/k3s is a copy of');
	const {'/var/lib/bringup/copies/usr/local/bin/k3s': _, ...unknown} = files;
	t.is(whys(await kubernetes.plan(server, machine(done(), unknown)))[0], 'copy /usr/local/bin/k3s from the assets');
	const manifest = (digit: string) => kubernetesSchema.parse({...server, manifests: {'hello.yaml': own(digit)}});
	const both = ['1', '2'].map(digit => line(`/var/lib/bringup/assets/${digit.repeat(64)}`, '100'));
	const made = {
		...(await finish(kubernetes, manifest('1'))),
		...foldersOf([...doneLines, ...both, line(hello, '100')]),
	};
	t.deepEqual(await kubernetes.plan(manifest('1'), machine(done(), made)), []);
	t.is(whys(await kubernetes.plan(manifest('2'), machine(done(), made)))[0], `copy ${hello} from the assets`);
});
