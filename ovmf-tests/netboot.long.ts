import {readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {type Started, start} from '../builder/run.ts';
import {failure, folder, makeTestDisk, startFor} from './vm.ts';
import {askOn, buildTree, loginOf, makeWire, treeOf, type Wire} from './wire.ts';

const state = join(folder, 'serve');
const machinesFile = join(folder, 'machines.yaml');
let wire: Wire;
let server: Started | undefined;

test.before('a wire, trees, and a server on it', async t => {
	t.timeout(20 * 60_000);
	wire = await makeWire('netboot', ['tap-pxe', 'tap-http']);
	for (const profile of ['small', 'other']) await buildTree(profile);
	await writeFile(
		machinesFile,
		[
			'schema: 1',
			'machines:',
			'  pxe-1: { mac: "52:54:00:62:75:01", profile: small }',
			'  http-1: { mac: "52:54:00:62:75:02", serial: BU-0001, profile: other }',
			'',
		].join('\n'),
	);
	const options = ['--interface', 'wire', '--machines', machinesFile, '--state', state, '--grant', '60'];
	const leases = ['--lease-range', '192.0.2.100,192.0.2.150'];
	const serve = ['node', 'dist/builder/cli.js', 'serve', ...options, ...leases, treeOf('small'), treeOf('other')];
	server = start(wire.on(...serve));
});

test.after.always('the wire goes', async t => {
	server?.kill('SIGTERM');
	t.log((await server?.ended)?.output ?? '');
	await wire.remove();
});

async function install(
	t: ExecutionContext,
	name: 'pxe-1' | 'http-1',
	mac: string,
	profile: string,
	zone: RegExp,
): Promise<void> {
	const boot = name === 'pxe-1' ? 'pxe' : 'http';
	const path = await makeTestDisk(`${name}.qcow2`, '20G');
	const machine = await startFor(t, {
		name,
		firmware: 'uefi-secure-boot',
		memory: 3072,
		disks: [{path, format: 'qcow2', bus: 'nvme', serial: name}],
		mac,
		tap: {namespace: wire.namespace, device: `tap-${boot}`, boot},
	});
	const readState = async () => {
		const text = await readFile(join(state, `${name}.json`), 'utf8').catch(() => '{}');
		return (JSON.parse(text) as {state?: string}).state;
	};
	const began = Date.now();
	const stage = (text: string) => t.log(`${name}, ${((Date.now() - began) / 1000).toFixed(0)} s: ${text}`);
	await machine.waitFor(/bringup: fetching 10-base\.squashfs/, 900, failure);
	stage('the kernel asks for the layers');
	t.is(await readState(), 'booting');
	await machine.waitFor(/bringup: every layer is whole/, 600, failure);
	stage('the layers are there');
	await machine.waitFor(new RegExp(`bringup: install of profile ${profile}`), 600, failure);
	await machine.waitFor(/bringup: install done/, 1200, failure);
	stage('installed');
	await machine.waitFor(new RegExp(`bringup: ${name} is installed; booting its disk`), 600, failure);
	t.is(await readState(), 'installed');
	const [summary] = await machine.waitFor(/bringup: provision done.*/, 900, failure);
	stage(summary);
	const [address = ''] = /192\.0\.2\.\d+/.exec(summary) ?? [];
	const ask = (...command: string[]) => askOn(wire, loginOf(profile), address, command);
	t.is((await ask('hostname')).trim(), name);
	t.regex(await ask('date', '+%Z'), zone);
	t.regex(await ask('mokutil', '--sb-state'), /SecureBoot enabled/);
	await machine.powerOff(180);
}

test('two machines at once install themselves under Secure Boot, by PXE and by UEFI HTTP Boot, each its own profile', async t => {
	t.timeout(60 * 60_000);
	await Promise.all([
		install(t, 'pxe-1', '52:54:00:62:75:01', 'small', /^UTC$/m),
		install(t, 'http-1', '52:54:00:62:75:02', 'other', /^CES?T$/m),
	]);
});
