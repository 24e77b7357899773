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

test('what a unit names takes the unit along, a name within a name does not', t => {
	const units = new Map([
		['lan.network', '[Network]\n'],
		['grp.pod', '[Pod]\nNetwork=lan.network\n'],
		['web.container', '[Container]\nPod=grp.pod\nImage=localhost/web:1\n'],
		['db.container', '[Container]\nNetwork=wlan.network\nSecret=tokens,type=env\nImage=localhost/web:10\n'],
	]);
	const affected = (changes: object) => [...findAffected(units, {files: [], images: [], secrets: [], ...changes})];
	t.deepEqual(affected({files: ['lan.network']}), ['lan.network', 'grp.pod', 'web.container']);
	t.deepEqual(affected({images: ['localhost/web:1']}), ['web.container']);
	t.deepEqual(affected({secrets: ['token']}), []);
	t.deepEqual(affected({secrets: ['tokens']}), ['db.container']);
});
