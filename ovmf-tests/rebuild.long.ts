import {mkdir, readdir, readFile, rm, writeFile} from 'node:fs/promises';
import {createServer} from 'node:http';
import type {AddressInfo} from 'node:net';
import {join, normalize} from 'node:path';
import {gzipSync} from 'node:zlib';
import test from 'ava';
import {run} from '../builder/run.ts';
import {cacheEnv, folder, writeEvidence} from './vm.ts';

const work = join(folder, 'rebuild');
const archive = join(work, 'archive');

const changelog = `bringup-test (1.1) own; urgency=medium

  * CVE-2026-12345: mended

 -- nobody <nobody@example.org>  Sat, 21 Nov 2026 00:00:00 +0000

bringup-test (1.0) own; urgency=medium

  * CVE-2025-1234: mended

 -- nobody <nobody@example.org>  Fri, 20 Nov 2026 00:00:00 +0000
`;

/** An archive of one package, as Debian's are, signed by a key of its own. */
async function publishPackage(version: string): Promise<void> {
	const source = join(work, 'package');
	await rm(source, {recursive: true, force: true});
	await mkdir(join(source, 'DEBIAN'), {recursive: true});
	const control = [
		'Package: bringup-test',
		`Version: ${version}`,
		'Architecture: all',
		'Maintainer: nobody <nobody@example.org>',
		'Description: a package of a test',
		'',
	];
	await writeFile(join(source, 'DEBIAN/control'), control.join('\n'));
	const documents = join(source, 'usr/share/doc/bringup-test');
	await mkdir(documents, {recursive: true});
	await writeFile(
		join(documents, 'changelog.Debian.gz'),
		gzipSync(changelog.slice(changelog.indexOf(`(${version})`) - 13)),
	);
	const pool = join(archive, 'pool');
	const binary = join(archive, 'dists/own/main/binary-amd64');
	await Promise.all([pool, binary].map(path => mkdir(path, {recursive: true})));
	const name = `bringup-test_${version}_all.deb`;
	await run(['dpkg-deb', '--root-owner-group', '--build', source, join(pool, name)]);
	const digest = async (path: string) => (await run(['sha256sum', path])).slice(0, 64);
	const size = async (path: string) => (await readFile(path)).length;
	const deb = join(pool, name);
	const stanza = [
		...control.slice(0, -1),
		`Filename: pool/${name}`,
		`Size: ${await size(deb)}`,
		`SHA256: ${await digest(deb)}`,
		'',
		'',
	];
	const packages = join(binary, 'Packages');
	await writeFile(packages, stanza.join('\n'));
	const release = [
		...['Origin: own', 'Suite: own', 'Codename: own', 'Architectures: amd64', 'Components: main'],
		...[
			`Date: ${new Date().toUTCString()}`,
			'SHA256:',
			` ${await digest(packages)} ${await size(packages)} main/binary-amd64/Packages`,
			'',
		],
	];
	const dists = join(archive, 'dists/own');
	await writeFile(join(dists, 'Release'), release.join('\n'));
	await run(['gpg', '--batch', '--yes', '--clearsign', '--output', join(dists, 'InRelease'), join(dists, 'Release')], {
		env: {GNUPGHOME: join(work, 'gnupg')},
	});
}

interface Rebuilt {
	profile: string;
	state: string;
	image: string;
	changes: {name: string; old: string; new: string}[];
}

/** One nightly run; the report. */
async function rebuild(): Promise<Rebuilt[]> {
	const words = ['--all', '--if-changed', '--publish', join(work, 'published'), '--report', join(work, 'report')];
	const cli = join(process.cwd(), 'dist/builder/cli.js');
	await run(['node', cli, 'rebuild', ...words], {cwd: work, env: {...cacheEnv}});
	return JSON.parse(await readFile(join(work, 'report/rebuild.json'), 'utf8')) as Rebuilt[];
}

test.serial(
	'what has not changed is left alone in seconds, and of what has, only the images that contain it are made anew',
	async t => {
		t.timeout(150 * 60_000);
		await rm(work, {recursive: true, force: true});
		await mkdir(join(work, 'profiles'), {recursive: true});
		await mkdir(join(work, 'published'));
		await mkdir(join(work, 'gnupg'), {mode: 0o700});
		const env = {GNUPGHOME: join(work, 'gnupg')};
		t.teardown(() => run(['gpgconf', '--kill', 'all'], {env}));
		await run(
			['gpg', '--batch', '--passphrase', '', '--quick-generate-key', 'own <own@example.org>', 'ed25519', 'sign'],
			{env},
		);
		await writeFile(
			join(work, 'profiles/own.asc'),
			await run(['gpg', '--armor', '--export', 'own@example.org'], {env}),
		);
		const server = createServer((request, response) => {
			readFile(join(archive, normalize(request.url ?? '/'))).then(
				data => response.end(data),
				() => response.writeHead(404).end(),
			);
		});
		await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
		t.teardown(() => server.close());
		const {port} = server.address() as AddressInfo;
		const shipped = join(process.cwd(), 'profiles/guest.yaml');
		// Little of what each clone would do at its first boots: what is proven here is what is rebuilt, and what not.
		const small = `schema: 1\nextends: ${shipped}\nmachine: {firmware: [bios], secureBoot: false}\nhardening: {fail2ban: false}\n`;
		await writeFile(join(work, 'profiles/plain.yaml'), small);
		const own = `{uri: 'http://127.0.0.1:${port}', suite: own, key: own.asc}`;
		const debian = `debian: {archives: {own: ${own}}, packages: [bringup-test]}\nimage: {formats: [qcow2, vmdk, vhdx, ova]}\n`;
		await writeFile(join(work, 'profiles/special.yaml'), `${small}${debian}`);

		await publishPackage('1.0');
		const states = (results: Rebuilt[]) => Object.fromEntries(results.map(({profile, state}) => [profile, state]));
		const first = await rebuild();
		t.deepEqual(states(first), {plain: 'published', special: 'published'});
		const published = (ending: string) => join(work, `published/special-latest.${ending}`);
		await run(['tar', '--extract', '--file', published('ova'), '--directory', work]);
		const [appliance = ''] = (await readdir(work)).filter(name => name.endsWith('-disk1.vmdk'));
		for (const [format, path] of [
			['vmdk', published('vmdk')],
			['vhdx', published('vhdx')],
			['vmdk', join(work, appliance)],
		] as const)
			await run(['qemu-img', 'compare', '-f', 'qcow2', '-F', format, published('qcow2'), path]);

		const began = performance.now();
		t.deepEqual(states(await rebuild()), {plain: 'unchanged', special: 'unchanged'});
		const seconds = (performance.now() - began) / 1000;
		t.log(`with nothing to do: ${seconds.toFixed(1)} s`);

		await publishPackage('1.1');
		const third = await rebuild();
		await writeEvidence('rebuild.json', JSON.stringify(third, undefined, '\t'));
		t.deepEqual(states(third), {plain: 'unchanged', special: 'published'});
		const special = third.find(({profile}) => profile === 'special');
		t.deepEqual(special?.changes, [
			{name: 'bringup-test', old: '1.0', new: '1.1', security: false, cves: ['CVE-2026-12345']},
		]);
		const latest = JSON.parse(await readFile(join(work, 'published/special-latest.json'), 'utf8')) as {image: string};
		t.is(latest.image, special?.image ?? '');
		t.not(latest.image, first.find(({profile}) => profile === 'special')?.image);
	},
);
