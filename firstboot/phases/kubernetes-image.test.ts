import {readFileSync} from 'node:fs';
import test from 'ava';
import {assetPath} from '../assets.ts';
import {foldersOf} from '../folders.test.machine.ts';
import {kubernetesSchema} from '../k3s.ts';
import type {Probe, Step} from '../phase.ts';
import {probeRecord, type RecordedMachine} from '../record.ts';
import {kubernetes, kubernetesFiles} from './kubernetes.ts';

const blank = JSON.parse(readFileSync('firstboot/machines/blank.json', 'utf8')) as RecordedMachine;
const own = (digit: string) => ({asset: {url: `https://mirror.example/${digit}`, sha256: digit.repeat(64)}});
const archive = 'k3s-airgap-images-amd64.tar.zst';
const fields = {binary: own('b'), images: {[archive]: own('c')}};
const server = kubernetesSchema.parse({role: 'server', ...fields});
const agent = kubernetesSchema.parse({role: 'agent', ...fields});
const [binary, images] = [assetPath(server.binary), assetPath(server.images[archive] ?? server.binary)];
const line = (path: string, size = '4096', target = '') => `${path}\tf\t${size}\t1700000000\t0\t${target}`;
const assetLines = [line(binary, '70000000'), line(images, '200000000')];
const names = ['k3s', 'kubectl', 'crictl', 'ctr'].map(name => line(`/usr/local/bin/${name}`, '70000000'));
const folder = '/var/lib/rancher/k3s/agent/images';
const doneLines = [...assetLines, ...names, line(folder), line(`${folder}/${archive}`, '87', images)];

/** A machine with the assets of the medium, and what else lies there; no unit of K3s is known. */
function machine(lines = assetLines, copied = {}): Probe {
	const show = 'systemctl show --property=ActiveState,SubState,NRestarts,NeedDaemonReload,Job k3s.service';
	const manifest = {[`tar --extract --to-stdout --occurrence=1 --file=${images} manifest.json`]: '[]'};
	const commands = {...blank.commands, ...manifest, [show]: 'ActiveState=inactive\nSubState=dead'};
	return probeRecord({commands, files: {...blank.files, ...foldersOf(lines), ...copied}});
}

const copied = {'/var/lib/bringup/copies/usr/local/bin/k3s': `${'b'.repeat(64)}\n`};

const whys = (steps: readonly Step[]) => steps.map(({why}) => why);

test('in an image it is put in place and does not run; a clone whose seed names no server waits', async t => {
	const files = whys(await kubernetesFiles.plan(server, machine()));
	t.true(files.includes('put /usr/local/bin/k3s in place'));
	t.false(
		files.some(why => /start|configure|write|authorit/.test(why)),
		files.join(', '),
	);
	t.deepEqual(whys(await kubernetes.plan(agent, machine())), files);
	t.deepEqual(await kubernetesFiles.plan(server, machine(doneLines, copied)), []);
});

test('a server of no named cluster is one of its own: no token, no authorities', async t => {
	const steps = await kubernetes.plan(server, machine());
	const config = steps.find(step => step.do === 'write' && step.path === '/etc/rancher/k3s/config.yaml');
	t.false(config?.do === 'write' && config.content.includes('token'));
	t.false(steps.some(({why}) => /give the cluster/.test(why)));
	t.true(whys(steps).includes('start k3s.service'));
});
