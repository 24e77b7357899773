import test from 'ava';
import {checkContainers} from '../../firstboot/facts/containers.ts';
import type {Sections} from '../../firstboot/facts/fact.ts';
import {profileSchema} from './schema.ts';

const asset = {asset: {file: 'web.tar'}};
const web = {
	uid: 2000,
	images: {'localhost/web:1': asset},
	secrets: {token: {secret: {env: 'TOKEN'}}},
	units: {
		'web.container': {Container: {Image: 'localhost/web:1', Secret: 'token,type=env', PublishPort: ['8080:80']}},
		'far.container': {Container: {Image: 'registry.example/far:2'}, 'X-Note': {Who: 'me'}},
	},
};

function sections(users: object, more: object = {}): Sections {
	const shape = profileSchema.pick({containers: true, debian: true});
	return {...shape.parse({containers: {users}, ...more})} as Sections;
}

const unitsOf = (units: object) => sections({web: {...web, units}});

test('a user with an archive, a secret and a unit is right', t => {
	t.deepEqual(checkContainers(sections({web})), []);
});

const table: [title: string, given: Sections, field: string, message: RegExp][] = [
	[
		'Debian 12 is refused, and why',
		sections({web}, {debian: {release: 'bookworm'}}),
		'containers',
		/podman 4\.3.*trixie/,
	],
	[
		'two users of one number',
		sections({web, db: {uid: 2000}}),
		'containers.users.db.uid',
		/2000 is the uid of web already/,
	],
	[
		'a local image without an archive',
		unitsOf({'a.container': {Container: {Image: 'localhost/a:1'}}}),
		'containers.users.web.units.a.container.Container.Image',
		/localhost\/a:1 is in no registry; name its archive/,
	],
	[
		'an image without a registry',
		unitsOf({'a.container': {Container: {Image: 'library/nginx:1'}}}),
		'containers.users.web.units.a.container.Container.Image',
		/names no registry; write the whole name, such as registry\.example\/library\/nginx:1/,
	],
	[
		'a secret that is none',
		unitsOf({'a.container': {Container: {Image: 'localhost/web:1', Secret: ['token', 'other,type=mount']}}}),
		'containers.users.web.units.a.container.Container.Secret',
		/there is no secret other/,
	],
	[
		'an image of a name that every object has',
		unitsOf({'a.container': {Container: {Image: 'constructor'}}}),
		'containers.users.web.units.a.container.Container.Image',
		/constructor names no registry/,
	],
	[
		'a secret of such a name',
		unitsOf({'a.container': {Container: {Image: 'localhost/web:1', Secret: 'toString'}}}),
		'containers.users.web.units.a.container.Container.Secret',
		/there is no secret toString/,
	],
	[
		'a section that Quadlet would pass over',
		unitsOf({'a.container': {Contianer: {Image: 'localhost/web:1'}}}),
		'containers.users.web.units.a.container.Contianer',
		/has no section Contianer/,
	],
	[
		'a .kube unit without its file',
		unitsOf({'a.kube': {Kube: {Yaml: 'a.yaml'}}}),
		'containers.users.web.units.a.kube.Kube.Yaml',
		/there is no file a\.yaml in files/,
	],
	[
		'two files that make one service',
		unitsOf({'a.container': {Container: {Image: 'localhost/web:1'}}, 'a.kube': {Kube: {Yaml: '/etc/a.yaml'}}}),
		'containers.users.web.units.a.kube',
		/makes a\.service, as a\.container does/,
	],
];

for (const [title, given, field, message] of table) {
	test(`a fault is told at its place: ${title}`, t => {
		const faults = checkContainers(given);
		t.deepEqual(
			faults.map(({path}) => path.join('.')),
			[field],
		);
		t.regex(faults[0]?.message ?? '', message);
	});
}

test('who may log in runs no containers', t => {
	const identity = {users: [{name: 'web'}]} as unknown as NonNullable<Sections['identity']>;
	t.regex(checkContainers({...sections({web}), identity})[0]?.message ?? '', /web may log in/);
});

const refused: [title: string, user: object][] = [
	['a line break in a value', {units: {'a.container': {Container: {Exec: 'a\nUser=root'}}}}],
	['a value that goes on into the next line', {units: {'a.container': {Container: {Exec: 'a\\'}}}}],
	['a .build unit, which needs a network', {units: {'a.build': {Build: {}}}}],
	['a unit in another folder', {units: {'../a.container': {Container: {}}}}],
	['a unit among the files', {files: {'a.container': ''}}],
	['an image without a registry or tag', {images: {web: asset}}],
	['a number outside of the range', {uid: 1000}],
];

for (const [title, user] of refused) {
	test(`the schema refuses ${title}`, t => {
		const {containers} = profileSchema.shape;
		t.true(containers.safeParse({users: {web: {uid: 2000}}}).success);
		t.false(containers.safeParse({users: {web: {uid: 2000, ...user}}}).success);
	});
}
