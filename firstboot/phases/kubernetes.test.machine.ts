import {readFileSync} from 'node:fs';
import {assetPath} from '../assets.ts';
import {foldersOf} from '../folders.test.machine.ts';
import {authorityFiles, clusterSecrets, type Kubernetes, kubernetesSchema, startedPath} from '../k3s.ts';
import {listEnabled, type Phase, type Probe, type Step} from '../phase.ts';
import {probeRecord, type RecordedMachine} from '../record.ts';

export const blank = JSON.parse(readFileSync('firstboot/machines/blank.json', 'utf8')) as RecordedMachine;
export const own = (digit: string) => ({asset: {url: `https://mirror.example/${digit}`, sha256: digit.repeat(64)}});
export const archive = 'k3s-airgap-images-amd64.tar.zst';
export const server = kubernetesSchema.parse({
	role: 'server',
	cluster: 'home',
	binary: own('b'),
	images: {[archive]: own('c')},
	config: {disable: ['traefik', 'servicelb'], 'write-kubeconfig-mode': '0644'},
	manifests: {'hello.yaml': 'apiVersion: v1\nkind: Namespace\nmetadata: {name: hello}\n'},
});
export const agent = kubernetesSchema.parse({
	role: 'agent',
	cluster: 'home',
	binary: own('b'),
	images: {[archive]: own('c')},
	server: 'https://192.0.2.11:6443',
});

export const [binary, images] = [assetPath(server.binary), assetPath(server.images[archive] ?? server.binary)];
export const enabled = listEnabled.join(' ');
export const show = (unit: string) =>
	`systemctl show --property=ActiveState,SubState,NRestarts,NeedDaemonReload,Job ${unit}`;
export const state = (fields: string) => fields.split(' ').join('\n');
export const running = state('NRestarts=0 ActiveState=active SubState=running NeedDaemonReload=no');
export const starting = state('NRestarts=0 ActiveState=activating SubState=start NeedDaemonReload=no');
export const queued = state('Job=77 NRestarts=0 ActiveState=inactive SubState=dead NeedDaemonReload=no');
export const looping = state('NRestarts=9 ActiveState=activating SubState=auto-restart');

export const line = (path: string, size = '4096', target = '') => `${path}\tf\t${size}\t1700000000\t0\t${target}`;
export const assetLines = [line(binary, '70000000'), line(images, '200000000')];
const folders = ['bin/k3s', 'bin/kubectl', 'bin/crictl', 'bin/ctr'].map(name => line(`/usr/local/${name}`, '70000000'));
export const doneLines = [
	...assetLines,
	...folders,
	line('/var/lib/rancher/k3s/agent/images'),
	line(`/var/lib/rancher/k3s/agent/images/${archive}`, '87', images),
	line('/var/lib/rancher/k3s/server'),
	line('/var/lib/rancher/k3s/server/cred'),
];
const manifest = JSON.stringify([{RepoTags: ['rancher/mirrored-pause:3.6']}, {RepoTags: null}]);
const readNames = `tar --extract --to-stdout --occurrence=1 --file=${images} manifest.json`;
export const secrets = Object.fromEntries(
	authorityFiles.map(name => [`${clusterSecrets}/tls/${name}`, `PEM of ${name}\n`]),
);

/** The blank machine after the medium brought assets and secrets, and what differs. */
export function machine(commands: Record<string, unknown> = {}, files: Record<string, string> = {}): Probe {
	return probeRecord({
		commands: {...blank.commands, [readNames]: manifest, ...commands},
		files: {
			...blank.files,
			...foldersOf(assetLines),
			...secrets,
			'/usr/lib/systemd/system/systemd-resolved.service': '[Unit]\n',
			'/proc/sys/kernel/hostname': 'Node-1\n',
			...files,
		},
	});
}

export const whys = (steps: readonly Step[]) => steps.map(({why}) => why);
export const written = (steps: readonly Step[]) =>
	Object.fromEntries(steps.flatMap(step => (step.do === 'write' ? [[step.path, step.content]] : [])));

/** What a machine has when every step was done, seen from its files. */
export async function finish(
	{plan}: Pick<Phase<typeof kubernetesSchema>, 'plan'>,
	config: Kubernetes,
): Promise<Record<string, string>> {
	const files = written(await plan(config, machine()));
	return {...files, ...foldersOf(doneLines), [startedPath]: files['/etc/bringup/k3s.digest'] ?? ''};
}

export const done = (commands: Record<string, unknown> = {}) => ({
	[show('k3s.service')]: running,
	[enabled]: 'k3s.service\n',
	...commands,
});
