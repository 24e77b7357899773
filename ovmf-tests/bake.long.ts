import {readdir, readFile, rm, writeFile} from 'node:fs/promises';
import {join, resolve} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import test from 'ava';
import {ProgramError, run, start} from '../builder/run.ts';
import {cacheEnv, folder, makeAssets, writeEvidence} from './vm.ts';

interface ImageManifest {
	formats: {format: string; file: string; size: number}[];
	packages: {name: string; version: string}[];
	proof: string[];
	seconds: Record<string, number>;
	accelerator: string;
}

const bringup = (...words: string[]) => run(['node', 'dist/builder/cli.js', ...words], {env: cacheEnv});

test.before(
	'what the profiles bring is there, and no image of a run before, which would be taken for what is baked here',
	async () => {
		await makeAssets();
		const images = /^(too-small|guest|container-host|k3s-server-vm|k3s-agent-vm)\./;
		const old = (await readdir(folder)).filter(name => images.test(name) && !name.endsWith('.yaml'));
		for (const name of old) await rm(join(folder, name), {recursive: true});
		await run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', '', '-f', join(folder, 'images-key')]).catch(
			error => {
				if (!/already exists/.test(String(error.output))) throw error;
			},
		);
	},
);

/** The processes in whose command a text is. */
async function listProcesses(text: string): Promise<string[]> {
	const pids = (await readdir('/proc')).filter(name => /^\d+$/.test(name));
	const commands = await Promise.all(pids.map(pid => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')));
	return commands.filter(command => command.includes(text)).map(command => command.replaceAll('\0', ' '));
}

async function waitUntil(what: string, seconds: number, right: () => Promise<boolean>): Promise<void> {
	for (const end = Date.now() + seconds * 1000; !(await right()); await sleep(200))
		if (Date.now() > end) throw new Error(`${what}: not within ${seconds} s`);
}

test.serial('a bake that is killed outright leaves no machine and no image', async t => {
	t.timeout(30 * 60_000);
	const out = join(folder, 'guest');
	const bake = start(['node', 'dist/builder/cli.js', 'bake', '--profile', 'guest', '--out', out]);
	const readSerial = async () => {
		const [work] = (await readdir(folder)).filter(name => name.startsWith('.bringup-'));
		return readFile(join(folder, work ?? '', 'install/serial.log'), 'utf8').catch(() => '');
	};
	await waitUntil('the machine partitions its disk', 1500, async () => /phase partition/.test(await readSerial()));
	t.is((await listProcesses(`${folder}/.bringup-`)).length, 1);
	bake.kill('SIGKILL');
	await bake.ended;
	await waitUntil('its machine has ended', 10, async () => (await listProcesses(`${folder}/.bringup-`)).length === 0);
	t.deepEqual(
		(await readdir(folder)).filter(name => /^guest\.(qcow2|image|cdx|intoto)/.test(name)),
		[],
	);
});

test.serial(
	'an image that is too small for what it shall hold says so, with the serial log and the screen',
	async t => {
		t.timeout(30 * 60_000);
		const [profile, out] = [join(folder, 'too-small.yaml'), join(folder, 'too-small')];
		await writeFile(profile, `schema: 1\nextends: ${resolve('profiles/guest.yaml')}\nimage: {size: 900M}\n`);
		const error = await t.throwsAsync(bringup('bake', '--profile', profile, '--out', out), {instanceOf: ProgramError});
		t.log(error?.output.slice(-1500));
		t.regex(error?.output ?? '', /No space left on device/);
		t.regex(error?.output ?? '', /make image\.size larger/);
		t.deepEqual((await readdir(join(`${out}.evidence`, 'install'))).sort(), ['qemu.txt', 'screen.png', 'serial.log']);
		t.deepEqual(
			(await readdir(folder)).filter(name => /^too-small\.(qcow2|image|cdx|intoto)/.test(name)),
			[],
		);
	},
);

for (const [name, profile] of [
	['guest', 'guest'],
	['container-host', 'ovmf-tests/profiles/container-host.yaml'],
	['k3s-server-vm', 'ovmf-tests/profiles/k3s-server-vm.yaml'],
	['k3s-agent-vm', 'ovmf-tests/profiles/k3s-agent-vm.yaml'],
] as const)
	test.serial(`${name} is baked, sealed, and proven by two clones`, async t => {
		t.timeout(90 * 60_000);
		const out = join(folder, name);
		const key = join(folder, 'images-key');
		await bringup('bake', '--profile', profile, '--out', out, '--sign', key);
		// What the killed one left is swept up too.
		const left = (await readdir(folder)).filter(file => file.startsWith('.bringup-'));
		t.deepEqual(left, []);
		const manifest = JSON.parse(await readFile(`${out}.image.json`, 'utf8')) as ImageManifest;
		t.log(`accelerator: ${manifest.accelerator}`);
		for (const [stage, seconds] of Object.entries(manifest.seconds)) t.log(`${stage}: ${seconds} s`);
		t.log(`${((manifest.formats[0]?.size ?? 0) / 1e6).toFixed(0)} MB`);
		await writeEvidence(`${name}.image.json`, JSON.stringify(manifest, undefined, '\t'));
		t.true(manifest.proof.includes('a second boot keeps them'));
		await run(['qemu-img', 'check', '-q', `${out}.qcow2`]);

		// By programs that are not ours: digests, signature, and the form of the SBOM; and that it names the very packages.
		await run(['sha256sum', '--check', '--strict', '--quiet', `${name}.image.sha256`], {cwd: folder});
		const signers = join(folder, 'signers');
		await run(['tee', signers], {input: `images@example.org ${await readFile(`${key}.pub`, 'utf8')}`});
		const verify = ['-Y', 'verify', '-f', signers, '-I', 'images@example.org', '-n', 'bringup-image'];
		await run(['ssh-keygen', ...verify, '-s', `${out}.image.sha256.sig`], {
			input: await readFile(`${out}.image.sha256`, 'utf8'),
		});
		const schemas = resolve('node_modules/@cyclonedx/cyclonedx-library/res/schema');
		const schema = ['--base-uri', `file://${schemas}/`, join(schemas, 'bom-1.6.SNAPSHOT.schema.json')];
		await run(['/usr/bin/python3', '-m', 'jsonschema', '--instance', `${out}.cdx.json`, ...schema]);
		const sbom = JSON.parse(await readFile(`${out}.cdx.json`, 'utf8')) as {
			components: {name: string; version: string; purl: string}[];
		};
		const names = (list: {name: string; version: string}[]) =>
			list.map(({name, version}) => `${name} ${version}`).sort();
		const debs = sbom.components.filter(({purl}) => purl.startsWith('pkg:deb/'));
		t.deepEqual(names(debs), names(manifest.packages));
		t.true(sbom.components.some(({name}) => name === 'bringup'));

		const began = performance.now();
		await bringup('bake', '--profile', profile, '--out', out, '--sign', key);
		t.log(`again, with nothing to do: ${((performance.now() - began) / 1000).toFixed(1)} s`);
		t.is(
			await readFile(`${out}.image.json`, 'utf8').then(text => JSON.parse(text).seconds.prove),
			manifest.seconds['prove'],
		);
	});
