import {mkdir, writeFile} from 'node:fs/promises';
import {join, resolve} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {type Started, start} from '../builder/run.ts';
import {failure, folder, makeTestDisk, startFor} from './vm.ts';
import {askOn, buildTree, makeWire, treeOf, type Wire} from './wire.ts';

const own = join(folder, 'netboot-others');

test.before('a tree', async t => {
	t.timeout(20 * 60_000);
	await mkdir(own, {recursive: true});
	await buildTree('small');
});

/** The DHCP server that a network has anyway; told of no tree, it knows nothing of booting. */
async function startDhcp(wire: Wire, tree?: string): Promise<Started> {
	const file = join(own, `${wire.namespace}.conf`);
	const boot = [
		...['enable-tftp', `tftp-root=${tree}`, 'dhcp-match=set:efi,option:client-arch,7'],
		...['dhcp-boot=tag:efi,bootx64.efi,,192.0.2.1', 'dhcp-boot=tag:!efi,bringup.pxe,,192.0.2.1'],
	];
	const lines = [
		...['port=0', 'interface=wire', 'bind-interfaces', 'no-hosts', 'no-resolv', 'user=root', 'log-dhcp'],
		...['dhcp-range=192.0.2.100,192.0.2.150,255.255.255.0,1h', `dhcp-leasefile=${file}.leases`],
		...(tree === undefined ? [] : boot),
	];
	await writeFile(file, `${lines.join('\n')}\n`);
	return start(wire.on('dnsmasq', '--keep-in-foreground', '--log-facility=-', `--conf-file=${file}`));
}

interface Case {
	name: string;
	firmware: 'bios' | 'uefi-secure-boot';
	mac: string;
	wire: Wire;
}

/** Boots a machine of the wire with an empty disk, until it has booted that disk by itself. */
async function install(t: ExecutionContext, {name, firmware, mac, wire}: Case, after: RegExp): Promise<string> {
	const machine = await startFor(t, {
		name,
		firmware,
		memory: 3072,
		disks: [{path: await makeTestDisk(`${name}.qcow2`, '20G'), format: 'qcow2', bus: 'nvme', serial: name}],
		mac,
		tap: {namespace: wire.namespace, device: 'tap', boot: 'pxe'},
	});
	const began = Date.now();
	const said = async (text: RegExp, seconds: number) => {
		const [line] = await machine.waitFor(text, seconds, failure);
		t.log(`${name}, ${((Date.now() - began) / 1000).toFixed(0)} s: ${line}`);
		return line;
	};
	await said(/bringup: every layer is whole/, 900);
	t.regex(await said(/bringup: install done.*/, 1800), /nothing left/);
	await said(after, 600);
	if (!after.source.includes('booting its disk')) return '';
	const summary = await said(/bringup: provision done.*/, 900);
	const [address = ''] = /192\.0\.2\.\d+/.exec(summary) ?? [];
	t.is((await askOn(wire, 'small', address, ['hostname'])).trim(), name);
	await machine.powerOff(180);
	return summary;
}

for (const firmware of ['bios', 'uefi-secure-boot'] as const)
	test.serial(`beside the DHCP server of the network, ${firmware} boots what bringup serves`, async t => {
		t.timeout(40 * 60_000);
		const wire = await makeWire(firmware, ['tap']);
		t.teardown(() => wire.remove());
		const dhcp = await startDhcp(wire);
		const name = `beside-${firmware.slice(0, 4)}`;
		const machines = join(own, `${name}.yaml`);
		const mac = '52:54:00:62:75:03';
		await writeFile(machines, `schema: 1\nmachines:\n  ${name}: { mac: "${mac}", profile: small }\n`);
		const options = ['--interface', 'wire', '--machines', machines, '--state', join(own, `${name}.state`)];
		const server = start(wire.on('node', 'dist/builder/cli.js', 'serve', ...options, treeOf('small')));
		t.teardown(async () => {
			server.kill('SIGTERM');
			dhcp.kill('SIGTERM');
			t.log((await server.ended).output, (await dhcp.ended).output.slice(-2000));
		});
		await install(t, {name, firmware, mac, wire}, /bringup: beside-\w+ is installed; booting its disk/);
	});

test.serial('any TFTP and HTTP server gives the tree', async t => {
	t.timeout(40 * 60_000);
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
	await install(
		t,
		{name: 'static', firmware: 'uefi-secure-boot', mac: '52:54:00:62:75:04', wire},
		/Restarting system|reboot/,
	);
});
