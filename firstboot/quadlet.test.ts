import test from 'ava';
import {findAffected, formatUnits, serviceOf} from './quadlet.ts';

const images = {'localhost/web:1': {asset: {file: 'web.tar', sha256: 'a'.repeat(64)}}};

test('a unit says what the profile says, and how it starts; a list repeats its key', t => {
	t.is(
		formatUnits({
			images,
			units: {
				'web.container': {
					Container: {Image: 'localhost/web:1', PublishPort: ['80:80', '443:443'], ReadOnly: true},
					Service: {CPUWeight: 50},
				},
			},
		}).get('web.container'),
		'[Container]\nImage=localhost/web:1\nPublishPort=80:80\nPublishPort=443:443\nReadOnly=true\nPull=never\n\n[Service]\nCPUWeight=50\n\n[Install]\nWantedBy=default.target\n',
	);
	const own = formatUnits({
		images,
		units: {'web.container': {Container: {Image: 'localhost/web:1', Pull: 'missing'}, Install: {}}},
	}).get('web.container');
	t.is(own, '[Container]\nImage=localhost/web:1\nPull=missing\n\n[Install]\n');
});

test('the service of a file is the one that Quadlet makes', t => {
	const services = ['web.container', 'web.pod', 'lan.network', 'data.volume', 'k.kube', 'i.image', 'note.txt'];
	t.deepEqual(
		services.map(file => serviceOf(file, '[Unit]\n')),
		[
			'web.service',
			'web-pod.service',
			'lan-network.service',
			'data-volume.service',
			'k.service',
			'i-image.service',
			undefined,
		],
	);
	t.is(serviceOf('web.container', '[Container]\nServiceName=shop\n'), 'shop.service');
});

const user = {uid: 2001, files: {}};
const nothing = {files: [], images: [], secrets: []};

test('what a unit names takes the unit along, a name within a name does not', t => {
	const units = new Map([
		['lan.network', '[Network]\n'],
		['grp.pod', '[Pod]\nNetwork=lan.network\n'],
		['web.container', '[Container]\nPod=grp.pod\nImage=localhost/web:1\n'],
		['db.container', '[Container]\nNetwork=wlan.network\nSecret=tokens,type=env\nImage=localhost/web:10\n'],
	]);
	const affected = (changes: object) => [...findAffected(user, units, {...nothing, ...changes})];
	t.deepEqual(affected({files: ['lan.network']}), ['lan.network', 'grp.pod', 'web.container']);
	t.deepEqual(affected({images: ['localhost/web:1']}), ['web.container']);
	t.deepEqual(affected({secrets: ['token']}), []);
	t.deepEqual(affected({secrets: ['tokens']}), ['db.container']);
});

test('a file is used where a unit mounts or reads it, and not where its name stands in a text', t => {
	const used = [
		'[Container]\nVolume=./note.txt:/note:ro\n',
		'[Container]\nVolume=/etc/containers/systemd/users/2001/note.txt:/note\n',
		'[Container]\nEnvironmentFile=note.txt\n',
		'[Container]\nMount=type=bind,source=./note.txt,destination=/x\n',
		'[Container]\nPodmanArgs=--env-file=note.txt\n',
		'[Service]\nEnvironmentFile=/etc/containers/systemd/users/2001/note.txt\n',
	];
	const plain = [
		'[Unit]\nDescription=Serves note.txt, and old-note.txt\n',
		'[Unit]\nDocumentation=note.txt\n',
		'[Container]\nLabel=doc=note.txt\nAnnotation=note.txt\nEnvironment=FILE=note.txt\nExec=cat note.txt\n',
		'[Container]\nVolume=/srv/other/note.txt:/note\n',
		'[X-Own]\nKey=note.txt\n',
		'[Install]\nAlias=note.txt\n',
	];
	const changes = {...nothing, files: ['note.txt']};
	for (const text of used)
		t.deepEqual([...findAffected(user, new Map([['a.container', text]]), changes)], ['a.container'], text);
	for (const text of plain) t.deepEqual([...findAffected(user, new Map([['a.container', text]]), changes)], [], text);
});

test('a .kube unit starts anew for the images and secrets of its YAML', t => {
	const units = new Map([['k.kube', '[Kube]\nYaml=k.yaml\n']]);
	const affected = (yaml: string | object, changes: object) =>
		findAffected({uid: 2001, files: {'k.yaml': yaml as string}}, units, {...nothing, ...changes}).size;
	t.is(affected('image: localhost/web:1\n', {images: ['localhost/web:1']}), 1);
	t.is(affected('image: localhost/web:1\n', {images: ['localhost/other:1'], secrets: ['token']}), 0);
	t.is(affected({asset: {file: 'k.yaml'}}, {images: ['localhost/other:1']}), 1);
	t.is(affected('image: localhost/web:1\n', {files: ['k.yaml']}), 1);
});
