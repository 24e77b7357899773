import {readdir, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {withFolder} from '../folder.ts';
import {packageFolder} from '../paths.ts';
import {ProfileError} from './faults.ts';
import {loadProfile} from './profile.ts';
import {findStrays} from './shape.ts';
import {loadSource} from './source.ts';

const profiles = join(packageFolder, 'profiles');

test('no field of a shipped profile is a stray, and one that no schema knows is', async t => {
	for (const name of await readdir(profiles)) {
		const {source} = await loadSource(join(profiles, name));
		t.deepEqual(findStrays([], source.value), [], name);
	}
	t.deepEqual(findStrays([], {identity: {hostnam: 'x'}, network: {links: {any: {mtu: 1, mtux: 2}}}, hardning: {}}), [
		['identity', 'hostnam'],
		['network', 'links', 'any', 'mtux'],
		['hardning'],
	]);
	t.deepEqual(findStrays([], {kubernetes: {config: {anything: {at: {all: 1}}}}}), []);
});

/** The faults of a machine whose one domain has a seed that says this of its clone. */
const faultsOf = (machine: string) =>
	withFolder(tmpdir(), async folder => {
		const user = '{name: admin, sshKeys: auto}';
		const seed = `{users: [${user}], machine: ${machine}}`;
		const domain = `{cpus: 1, memory: 1G, disks: [{pool: images, size: 4G}], seed: ${seed}}`;
		const path = join(folder, 'p.yaml');
		await writeFile(
			path,
			`schema: 1
install: {disk: {minSize: 16G}}
identity: {hostname: node, users: [${user}]}
virtualization: {domains: {web: ${domain}}}
`,
		);
		return loadProfile(path).then(
			() => [],
			error => {
				if (!(error instanceof ProfileError)) throw error;
				return error.faults.map(({path, message}) => `${path.replace(/.*\.seed\./, '')}: ${message}`);
			},
		);
	});

test('what a seed says of its clone has the fields of a machine, and what is none is told once', async t => {
	t.deepEqual(
		await faultsOf('{identity: {hostname: two, timezone: null}, kubernetes: null, hardening: {sysctl: {a.b: 1}}}'),
		[],
	);
	for (const [machine, fault] of [
		['{identity: {hostnam: x}}', /^machine\.identity\.hostnam: there is no such field \(did you mean "hostname"\?\)/],
		['{identiy: {hostname: x}}', /^machine\.identiy: there is no such field \(did you mean "identity"\?\)/],
		[
			'{debian: {packages: [htop]}}',
			/^machine\.debian: there is no such field; the fields here are schema, profile, install/,
		],
		['{extends: foo}', /^machine\.extends: there is no such field/],
		['{kubernetes: {role: server, clustr: home}}', /^machine\.kubernetes\.clustr: there is no such field/],
	] as const) {
		const faults = await faultsOf(machine);
		t.is(faults.length, 1, faults.join('\n'));
		t.regex(faults[0] ?? '', fault);
	}
});
