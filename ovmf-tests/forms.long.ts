import {readFile} from 'node:fs/promises';
import test, {type ExecutionContext} from 'ava';
import type {Machine} from '../builder/boot/machine.ts';
import {type Artefact, buildIso, failure, findPort, listTestDisks, makeAssets, makeTestDisks, startFor} from './vm.ts';

const sizes = {'NVME-SYSTEM': '20G', FAST: '2G'};
let forms: Artefact;
let sshPort = 0;

test.before('the ISO of what no shipped profile has', async t => {
	t.timeout(20 * 60_000);
	await makeAssets();
	await makeTestDisks('forms', sizes);
	forms = await buildIso('ovmf-tests/profiles/forms.yaml');
	sshPort = await findPort();
});

const setup = (more: object = {}) => ({
	name: 'forms',
	firmware: 'uefi' as const,
	memory: 4096,
	disks: listTestDisks('forms', sizes),
	sshPort,
	...more,
});

type Ask = (...command: string[]) => Promise<string>;

const asker =
	(machine: Machine): Ask =>
	(...command) =>
		machine.run(forms.login, command);

const fetchPage = (path: string) => `fetch('http://127.0.0.1:${path}').then(answer => answer.text()).then(console.log)`;

/** Every kind of unit by its effect: a page that it serves, or what podman has of it. */
async function assertUnits(t: ExecutionContext, ask: Ask): Promise<void> {
	t.regex(await ask('node', '-e', fetchPage('8082/note.txt')), /^a file beside the units$/m);
	for (const port of ['8083/', '8084/'])
		t.regex(await ask('node', '-e', fetchPage(port)), /^a page from a container$/m, port);
	const podman = ['sudo', 'runuser', '-u', 'apps', '--', 'env', 'XDG_RUNTIME_DIR=/run/user/2000', 'podman'];
	t.regex(await ask(...podman, 'volume', 'ls', '--quiet'), /^systemd-data$/m);
	t.regex(await ask(...podman, 'network', 'ls', '--quiet'), /^systemd-inner$/m);
	t.regex(await ask(...podman, 'pod', 'ps', '--format', '{{.Name}}'), /^systemd-shop$/m);
}

/** The domains are of the firmware and on the pools that the profile says, and QEMU takes them. */
async function assertDomains(t: ExecutionContext, ask: Ask): Promise<void> {
	const virsh: Ask = (...words) => ask('sudo', 'virsh', ...words);
	t.notRegex(await virsh('dumpxml', 'legacy'), /<loader/);
	t.regex(await virsh('dumpxml', 'legacy'), /<source dev='\/dev\/vg0\/legacy-0'/);
	t.regex(await virsh('dumpxml', 'secure'), /<loader [^>]*secure='yes'[^>]*>\/usr\/share\/OVMF\/OVMF_CODE_4M\.ms\.fd/);
	t.regex(await ask('sudo', 'nft', 'list', 'table', 'bridge', 'bringup'), /ip saddr 198\.51\.100\.40 accept/);
	// cmp says nothing of what is the same.
	t.is(await ask('sudo', 'cmp', '--bytes=67108864', '/dev/vg0/legacy-0', '/dev/zero'), '');
	for (const name of ['legacy', 'secure']) {
		await virsh('start', name);
		t.regex(await virsh('domstate', name), /^running$/m, name);
		await virsh('destroy', name);
	}
	t.regex(await ask('cat', '/etc/modprobe.d/bringup-kvm.conf'), /^options kvm_amd nested=0$/m);
	const loaded = await ask('find', '/sys/module', '-path', '*/kvm_*/parameters/nested', '-exec', 'cat', '{}', '+');
	t.notRegex(loaded, /[Y1]/);
}

async function assertCluster(t: ExecutionContext, ask: Ask): Promise<void> {
	t.regex(await ask('sudo', 'cat', '/etc/rancher/k3s/config.yaml'), /^cluster-init: true$/m);
	const {configs} = JSON.parse(await ask('sudo', 'cat', '/etc/rancher/k3s/registries.yaml')) as {
		configs: Record<string, {auth: {password: string}}>;
	};
	const motto = (await readFile('ovmf-tests/profiles/motto.secret', 'utf8')).trim();
	t.is(configs['mirror.example:5000']?.auth.password, motto);
	t.is((await ask('sudo', 'stat', '--format=%a', '/etc/rancher/k3s/registries.yaml')).trim(), '600');
	t.regex(await ask('sudo', 'k3s', 'kubectl', 'get', 'nodes'), /node-1 +Ready/);
}

test.serial('each form of a domain, of a Quadlet unit and of a server is what the profile says', async t => {
	t.timeout(45 * 60_000);
	const machine = await startFor(t, setup({cdrom: forms.iso}));
	const ask = asker(machine);
	await machine.waitFor(/bringup: install done/, 1200, failure);
	await machine.waitFor(/bringup: provision of profile forms/, 600, failure);
	await machine.waitFor(/bringup: provision done.*/, 1500, failure);
	await assertUnits(t, ask);
	await assertDomains(t, ask);
	await assertCluster(t, ask);
	t.is(await ask('systemctl', '--failed', '--no-legend'), '');
	t.regex(await ask('sudo', 'bringup', 'plan'), /^(\S+: nothing to do\n)+$/);
	await machine.powerOff(300);
});

const takeAway = `const {readFileSync, writeFileSync} = require('node:fs');
const path = '/etc/bringup/machine.json';
const machine = JSON.parse(readFileSync(path, 'utf8'));
delete machine.kubernetes.registries;
delete machine.containers.users.apps.secrets.motto;
delete machine.containers.users.apps.units['site.kube'];
delete machine.virtualization.domains.secure;
machine.virtualization.domains.legacy.disks[0].size = '96M';
writeFileSync(path, JSON.stringify(machine));
`;

test.serial(
	'after another boot all of it holds; what is taken out of the profile is taken away, and data stay',
	async t => {
		t.timeout(30 * 60_000);
		const machine = await startFor(t, setup({again: true}));
		const ask = asker(machine);
		const [summary] = await machine.waitFor(/bringup: provision done.*/, 900, failure);
		t.regex(summary, /provision done; nothing to do/);
		await assertUnits(t, ask);
		await assertCluster(t, ask);

		await ask('sudo', 'virsh', 'start', 'secure');
		await ask('sudo', 'node', '-e', takeAway);
		await ask('sudo', 'systemctl', 'restart', '--no-block', 'bringup');
		// Its firmware answers no request to shut down: the step that waits for it says what to do.
		await machine.waitFor(/virtualization.*: shut down secure, which is not in the profile/, 300, failure);
		await ask('sudo', 'virsh', 'destroy', 'secure');
		await machine.waitFor(/bringup: provision done.*/, 600, failure);
		const size = 96 * 2 ** 20;
		t.is((await ask('sudo', 'blockdev', '--getsize64', '/dev/vg0/legacy-0')).trim(), String(size));
		t.is(await ask('sudo', 'cmp', `--bytes=${size}`, '/dev/vg0/legacy-0', '/dev/zero'), '');
		t.notRegex(await ask('sudo', 'ls', '/etc/rancher/k3s'), /registries/);
		const podman = ['sudo', 'runuser', '-u', 'apps', '--', 'env', 'XDG_RUNTIME_DIR=/run/user/2000', 'podman'];
		t.notRegex(await ask(...podman, 'secret', 'ls', '--format', '{{.Name}}'), /motto/);
		t.notRegex(await ask(...podman, 'ps', '--format', '{{.Names}}'), /site-web/);
		t.regex(await ask('sudo', 'virsh', 'list', '--all', '--name'), /^secure$/m);
		t.regex(await ask('sudo', 'ls', '/var/lib/libvirt/images'), /^secure-0\.qcow2$/m);
		await machine.powerOff(300);
	},
);
