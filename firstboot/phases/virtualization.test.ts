import test from 'ava';
import {foldersOf} from '../folders.test.machine.ts';
import type {Probe} from '../phase.ts';
import {probeRecord} from '../record.ts';
import type {Virtualization} from '../virtualization.ts';
import {
	blank,
	change,
	commands,
	config,
	done,
	k3s,
	key,
	lines,
	listDefined,
	machine,
	makeDone,
	profile,
	seed,
	seeds,
	units,
	whys,
	without,
} from './virtualization.test.machine.ts';
import {virtualization} from './virtualization.ts';

test('a machine whose domains run needs nothing, and libvirt is not asked', async t => {
	const {[commands.running]: _, [commands.pools]: __, ...silent} = done.commands;
	t.deepEqual(await virtualization.plan(config, probeRecord({...done, commands: silent})), []);
});

test('a blank machine gets all of it in one plan: rules before disks, disks before domains', async t => {
	const steps = await virtualization.plan(config, machine(blank));
	const all = lines(steps);
	const order = ['virsh pool-start images', 'virsh net-start lan', 'nft --file', 'qemu-img create', 'virsh start k3s'];
	const places = order.map(start => all.findIndex(line => line.startsWith(start)));
	t.true(
		places.every((place, index) => place > (places[index - 1] ?? -1)),
		`${places}`,
	);
	t.false(all.includes('virsh start old') || all.includes('virsh autostart old'));
	t.false(all.some(line => /default|undefine|--force\b/.test(line)));
});

test('what the seed holds goes to the program by standard input', async t => {
	const steps = await virtualization.plan(config, machine(blank));
	t.false(JSON.stringify(steps.map(step => ({...step, stdin: undefined}))).includes(key));
	t.is(steps.filter(step => step.do === 'run' && step.stdin?.includes(key)).length, 1);
});

const cuts: [title: string, probe: Probe, left: string[]][] = [
	['between define and start', without('/run/libvirt/qemu/k3s.xml'), ['start k3s']],
	['before autostart', without('/etc/libvirt/qemu/autostart/k3s.xml'), ['start k3s at every boot']],
	['before the network started', without('/run/libvirt/network/lan.xml'), ['start the network lan']],
	['while nobody listens', machine(done, {[commands.units]: units('inactive')}), ['start libvirt']],
	['between the rules and their loading', machine(done, {[commands.tables]: ''}), ['load the table bridge bringup']],
	[
		'before the pool was started, or just after',
		without('/etc/libvirt/storage/autostart/images.xml'),
		['start the pool images', 'start the pool images at every boot'],
	],
];
for (const [title, probe, left] of cuts)
	test(`cut ${title}: what is left is done`, async t =>
		t.deepEqual(whys(await virtualization.plan(config, probe)), left));

test('a pool that was active before its last step is not started twice', async t => {
	const files = Object.keys(listDefined(config)).filter(path => path !== '/etc/libvirt/storage/autostart/images.xml');
	const probe = machine(done, {[commands.pools]: ' images\n\n'}, foldersOf(files));
	t.deepEqual(whys(await virtualization.plan(config, probe)), ['start the pool images at every boot']);
});

test('a running domain whose definition changed is defined anew and goes on', async t => {
	const steps = await virtualization.plan(
		change({domains: {...profile.domains, k3s: {...k3s, cpus: 3}}}),
		machine(done),
	);
	t.deepEqual(whys(steps), [
		'write what libvirt shall know of the domain k3s',
		'define the domain k3s; it takes effect when the domain is started again',
	]);
});

test('another seed replaces the one before, and the domain is defined with it', async t => {
	const other = {...k3s, seed: {...k3s.seed, hostname: 'other'}};
	const steps = lines(await virtualization.plan(change({domains: {...profile.domains, k3s: other}}), machine(done)));
	t.regex(steps[0] ?? '', /^mformat /);
	t.deepEqual(steps.slice(-2), [
		'virsh define --validate /run/bringup/libvirt/domain-k3s.xml',
		`rm --force ${seeds}/${seed}.img`,
	]);
});

test('a changed network is started anew', async t => {
	const steps = await virtualization.plan(
		change({networks: {lan: {bridge: 'br0', groups: {iot: {vlan: 31}}}}}),
		machine(done),
	);
	t.deepEqual(whys(steps).slice(1), [
		'define the network lan',
		'stop the network lan, which changed; domains go on',
		'start the network lan',
	]);
});

test("libvirt's own network is stopped and stays off", async t => {
	const files = [
		...Object.keys(listDefined(config)),
		'/etc/libvirt/qemu/networks/autostart/default.xml',
		'/run/libvirt/network/default.xml',
	];
	t.deepEqual(lines(await virtualization.plan(config, machine(done, {}, foldersOf(files)))), [
		'virsh net-autostart --disable default',
		'virsh net-destroy default',
	]);
});

test('nesting is switched where the module differs, unless domains run', async t => {
	const nested = change({nested: true});
	t.deepEqual(lines(await virtualization.plan(nested, machine(done))), []);
	const steps = lines(await virtualization.plan(nested, without('/run/libvirt/qemu/k3s.xml')));
	t.deepEqual(steps, ['modprobe --remove kvm_intel', 'modprobe kvm_intel', 'virsh start k3s']);
});

test('Debian 12, whose libvirt knows no firewall backend, gets no file for it', async t => {
	const {'/etc/libvirt/network.conf': _, ...files} = done.files;
	t.deepEqual(await virtualization.plan(config, probeRecord({...done, files})), []);
});

test('a machine that cannot answer is not taken for an empty one', async t => {
	for (const command of [commands.tables, commands.units]) {
		const {[command]: _, ...rest} = done.commands;
		await t.throwsAsync(virtualization.plan(config, probeRecord({...done, commands: rest})), {message: /no answer to/});
	}
});

const refused: [title: string, config: Virtualization, files: Record<string, string>, message: RegExp][] = [
	[
		'a bridge that is not there',
		change({networks: {lan: {bridge: 'br7'}}}),
		{},
		/no bridge br7; name one of the section/,
	],
	['VLANs on a plain bridge', config, {'/sys/class/net/br0/bridge/vlan_filtering': '0\n'}, /br0 is not VLAN-aware/],
	['more memory than there is', config, {'/proc/meminfo': 'MemTotal: 3000000 kB\n'}, /take 2\.3G of memory.*keeps 2G/],
	[
		'disks larger than their file system',
		change({reserve: {memory: '1G', storage: '95G'}}),
		{},
		/take 9G and the machine keeps 95G; the file system at \/ has 100G/,
	],
	[
		'a domain that somebody else made',
		config,
		{'/etc/libvirt/qemu/old.xml': '<uuid>1</uuid>'},
		/a domain old that bringup did not make.*virsh undefine old/,
	],
];
for (const [title, config, files, message] of refused)
	test(`${title}: it stops and names the remedy`, async t => {
		await t.throwsAsync(virtualization.plan(config, machine(done, {}, files)), {message});
	});

test('a machine without hardware virtualization is told which switch and which field', async t => {
	const {'/sys/class/misc/kvm/dev': _, ...files} = done.files;
	await t.throwsAsync(virtualization.plan(config, probeRecord({...done, files})), {
		message: /VT-x or AMD-V \(SVM\).*accelerator: tcg/,
	});
	const emulated = change({accelerator: 'tcg'});
	const made = await makeDone(emulated);
	delete made.files['/sys/class/misc/kvm/dev'];
	t.deepEqual(await virtualization.plan(emulated, probeRecord(made)), []);
});
