import {mkdir, writeFile} from 'node:fs/promises';
import {join, resolve} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {run, type Started, start} from '../builder/run.ts';
import {digestDisk, failure, folder, makeForeignDisk, makeTestDisk, question, startFor} from './vm.ts';
import {askOn, buildTree, loginOf, makeWire, startDhcp, treeOf, type Wire} from './wire.ts';

const own = join(folder, 'netboot-others');

test.before('trees', async t => {
	t.timeout(20 * 60_000);
	await mkdir(own, {recursive: true});
	for (const profile of ['small', 'installer']) await buildTree(profile);
});

/** Starts bringup serve for one machine of the wire, without leases of its own. */
async function startServe(wire: Wire, name: string, profile: string): Promise<Started> {
	const machines = join(own, `${name}.yaml`);
	await writeFile(machines, `schema: 1\nmachines:\n  ${name}: { mac: "${mac}", profile: ${profile} }\n`);
	const options = [
		'--interface',
		'wire',
		'--machines',
		machines,
		'--state',
		join(own, `${name}.state`),
		'--grant',
		'60',
	];
	return start(wire.on('node', 'dist/builder/cli.js', 'serve', ...options, treeOf(profile)));
}

const mac = '52:54:00:62:75:03';

interface Case {
	name: string;
	profile: string;
	firmware: 'bios' | 'uefi-secure-boot';
	wire: Wire;
}

/** What a machine must say until it is installed, and within which time (seconds); and what it may not say. */
const roads = {
	small: {
		says: [
			[/bringup: every layer is whole/, 900],
			[/bringup: install done.*nothing left/, 1800],
		],
		never: failure,
	},
	installer: {
		says: [
			[/bringup: choose done/, 1800],
			[/bringup: complete done.*nothing left/, 5400],
		],
		never: question,
	},
} as const;

/** Boots a machine of the wire with an empty disk, until it is installed. */
async function install(t: ExecutionContext, {name, profile, firmware, wire}: Case) {
	const foreign = await makeForeignDisk(`${name}-foreign.raw`);
	const path = await makeTestDisk(`${name}.qcow2`, '20G');
	const machine = await startFor(t, {
		name,
		firmware,
		memory: 3072,
		disks: [foreign.disk, {path, format: 'qcow2', bus: 'nvme', serial: name}],
		mac,
		tap: {namespace: wire.namespace, device: 'tap', boot: 'pxe'},
	});
	const began = Date.now();
	const {says, never} = roads[profile as keyof typeof roads];
	const said = async (text: RegExp, seconds: number) => {
		const [line] = await machine.waitFor(text, seconds, never);
		t.log(`${name}, ${((Date.now() - began) / 1000).toFixed(0)} s: ${line}`);
		return line;
	};
	for (const [text, seconds] of says) await said(text, seconds);
	return {machine, said, foreign};
}

/** Installs a machine by what bringup serves beside another DHCP server, and sees it boot its disk by itself. */
async function installBeside(t: ExecutionContext, profile: string, firmware: Case['firmware']): Promise<void> {
	t.timeout(120 * 60_000);
	const name = `${profile}-${firmware.slice(0, 4)}`;
	const wire = await makeWire(name, ['tap']);
	t.teardown(() => wire.remove());
	const dhcp = await startDhcp(wire);
	const server = await startServe(wire, name, profile);
	t.teardown(async () => {
		server.kill('SIGTERM');
		dhcp.kill('SIGTERM');
		t.log((await server.ended).output, (await dhcp.ended).output.slice(-2000));
	});
	const {machine, said, foreign} = await install(t, {name, profile, firmware, wire});
	await said(new RegExp(`bringup: ${name} is installed; booting its disk`), 900);
	const summary = await said(/bringup: provision done.*/, 1200);
	const [address = ''] = /192\.0\.2\.\d+/.exec(summary) ?? [];
	t.is((await askOn(wire, loginOf(profile), address, ['hostname'])).trim(), name);
	await machine.powerOff(180);
	t.is(await digestDisk(foreign.disk.path), foreign.digest);
}

for (const firmware of ['bios', 'uefi-secure-boot'] as const)
	test.serial(`beside the DHCP server of the network, ${firmware} boots what bringup serves`, t =>
		installBeside(t, 'small', firmware),
	);

test.serial('any TFTP and HTTP server gives the tree', async t => {
	t.timeout(40 * 60_000);
	await run(['nginx', '-v']); // its package starts a service, so setup.sh leaves it to a person
	const wire = await makeWire('static', ['tap']);
	t.teardown(() => wire.remove());
	const tree = resolve(treeOf('small'));
	const dhcp = await startDhcp(wire, tree);
	const site = join(own, 'nginx.conf');
	const server = [
		`daemon off; user root; pid ${own}/nginx.pid; error_log stderr; events {}`,
		`http { access_log off; server { listen 192.0.2.1:80; root ${tree}; } }`,
	];
	await writeFile(site, `${server.join('\n')}\n`);
	const nginx = start(wire.on('nginx', '-p', own, '-c', resolve(site)));
	t.teardown(async () => {
		nginx.kill('SIGTERM');
		dhcp.kill('SIGTERM');
		t.log((await nginx.ended).output, (await dhcp.ended).output.slice(-2000));
	});
	// Its menu knows no machine, and would install for ever; that is why there is bringup serve.
	const {said} = await install(t, {name: 'static', profile: 'small', firmware: 'uefi-secure-boot', wire});
	t.regex(await said(/reboot: Restarting system|reboot/, 600), /reboot/);
});

test.serial("Debian's own installer installs a machine over the network, and asks nothing", t =>
	installBeside(t, 'installer', 'uefi-secure-boot'),
);
