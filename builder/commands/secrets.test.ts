import {readdir, readFile, stat, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {
	assetsFolder,
	hideSecrets,
	listClusterFiles,
	type Machine,
	machineSchema,
	planEntry,
	probeRecord,
	type RecordedMachine,
	recordProbe,
	recoveryPath,
	type Step,
	sequences,
} from '../../firstboot/sequence.ts';
import {say} from '../bringup.test.say.ts';
import {formatSources, makeAptFolder} from '../build/apt.ts';
import {buildLayer} from '../build/layer.ts';
import {listTopLayer, readSecrets, type Secrets} from '../build/medium.ts';
import {explain} from '../failure.ts';
import {withFolder} from '../folder.ts';
import {packageFolder} from '../paths.ts';
import {type CompleteProfile, completeProfile} from '../profile/complete.ts';
import {loadProfile} from '../profile/profile.ts';
import {makeJsonSchema} from '../profile/schema.ts';
import {type FileTree, makeMachine, renderTree, writeTree} from '../render/tree.ts';
import {run} from '../run.ts';
import {findPlanted, k3sDigest, listPlaces, planted, plants, shown, writePlanted} from './secrets.test.profile.ts';

const workstation = {
	mirror: undefined,
	securityMirror: undefined,
	debianMirror: 'http://archive.example/debian',
	sshKeys: [],
};

interface Made {
	folder: string;
	path: string;
	profile: CompleteProfile;
	tree: FileTree;
	secrets: Secrets;
	machine: Machine;
}

/** The profile with a secret in every field that can hold one, and what is made of it. */
const inMade = (use: (made: Made) => Promise<void>) =>
	withFolder(tmpdir(), async folder => {
		const path = await writePlanted(folder);
		const loaded = await loadProfile(path);
		const profile = completeProfile(loaded, workstation);
		if (Array.isArray(profile)) throw new Error(JSON.stringify(profile));
		const {secrets, faults} = await readSecrets(loaded, {});
		if (faults.length > 0) throw new Error(JSON.stringify(faults));
		const machine = machineSchema.parse(JSON.parse(JSON.stringify(makeMachine(profile))));
		await use({folder, path, profile, tree: await renderTree(profile), secrets, machine});
	});

/** The files below a folder that another user can read. */
async function listReadable(folder: string): Promise<string[]> {
	if (((await stat(folder)).mode & 0o011) === 0) return [];
	const entries = await readdir(folder, {withFileTypes: true});
	const found = entries.map(async entry => {
		const path = join(folder, entry.name);
		if (entry.isDirectory()) return listReadable(path);
		return entry.isFile() && ((await stat(path)).mode & 0o044) !== 0 ? [path] : [];
	});
	return (await Promise.all(found)).flat();
}

async function checkFolder(t: ExecutionContext, folder: string): Promise<void> {
	const readable = await listReadable(folder);
	t.true(readable.length > 0); // else the folder was none that others can look into
	for (const path of readable) t.deepEqual(findPlanted(await readFile(path, 'latin1')), [], path);
}

test('every field of the profile that can hold a secret has one here, or is said to be shown', t => {
	const places = listPlaces(makeJsonSchema());
	t.true(places.length > 50);
	const missing = places.filter(place => !(place in shown) && !planted.has(place));
	t.deepEqual(missing, []);
	t.deepEqual(
		Object.keys(shown).filter(place => !places.includes(place)),
		[],
	);
});

test('in the tree, on disk too, no file that others can read has a secret', t =>
	inMade(async ({folder, tree}) => {
		for (const [path, {content, mode}] of tree) if ((mode & 0o077) !== 0) t.deepEqual(findPlanted(content), [], path);
		const out = join(folder, 'tree');
		await writeTree(tree, out);
		await checkFolder(t, out);
	}));

test('neither has one in the layer that is on the medium, in the tree for the network and on the machine', t =>
	inMade(async ({folder, tree, secrets}) => {
		const top = listTopLayer(tree, 'bundle', secrets, 'base');
		const layer = join(folder, 'layer.squashfs');
		await buildLayer(top.files, layer, 0);
		const out = join(folder, 'out');
		await run(['unsquashfs', '-no-progress', '-no-xattrs', '-dest', out, layer]);
		await checkFolder(t, out);
		const private_ = [...top.files.values()].map(({content}) => content).join();
		t.deepEqual(
			plants.build.filter(plant => private_.includes(plant)),
			[],
		);
		t.deepEqual(
			plants.machine.filter(plant => !private_.includes(plant)),
			[],
		);
	}));

test('what the cache keeps of archives and proxies is for this user alone', t =>
	inMade(async ({folder, profile: {fields}}) => {
		const cache = join(folder, 'cache');
		const index = await makeAptFolder(fields.debian, formatSources(fields.debian), cache);
		await checkFolder(t, cache);
		t.is(findPlanted(await readFile(join(index, 'sources.list'), 'utf8')).length, 3);
		t.is(findPlanted(await readFile(join(index, 'apt.conf'), 'utf8')).length, 1);
	}));

test('a fault shows the place, and not the password that stands there', t =>
	inMade(async ({path}) => {
		const text = await readFile(path, 'utf8');
		await writeFile(path, text.replace(/"(http:\/\/[^"]+)"/g, '"$1", "wrong": 1').replace('-security"', '"'));
		const error = await t.throwsAsync(loadProfile(path));
		const [said] = explain(error);
		t.regex(said, /http:\/\/\*+@mirror\.example/);
		t.deepEqual(findPlanted(said), []);
	}));

/** What each phase would do on a machine that answers to what both recorded ones do. */
async function planAll({machine, secrets}: Made): Promise<{phase: string; steps: Step[]}[]> {
	const read = async (name: string) =>
		JSON.parse(await readFile(join(packageFolder, 'firstboot/machines', name), 'utf8')) as RecordedMachine;
	const [blank, provisioned] = await Promise.all([read('blank.json'), read('provisioned.json')]);
	const cluster = [...listClusterFiles({role: 'server', cluster: 'planted'}, 'node-1').keys()];
	const stands = Object.fromEntries([recoveryPath, ...cluster].map(path => [path, 'stand-in']));
	const files = {...blank.files, ...Object.fromEntries(secrets), ...stands, [`${assetsFolder}/`]: k3sDigest};
	const probe = probeRecord({commands: {...provisioned.commands, ...blank.commands}, files});
	const plans = [];
	for (const entry of new Set(Object.values(sequences).flat())) {
		const steps = await planEntry(entry, machine, probe).catch((error: Error): Step[] => {
			return [{do: 'reboot', why: error.message}]; // the message is looked at as a reason is
		});
		plans.push({phase: entry.name, steps: steps ?? []});
	}
	return plans;
}

test('no step has a secret in what is shown of it, or writes one for others', t =>
	inMade(async made => {
		const plans = await planAll(made);
		for (const step of plans.flatMap(({steps}) => steps)) {
			const open = step.do === 'write' && (step.mode & 0o077) === 0 ? {...step, content: ''} : step;
			t.deepEqual(findPlanted(JSON.stringify(open.do === 'run' ? {...open, stdin: ''} : open)), [], step.why);
		}
		t.deepEqual(findPlanted(JSON.stringify(plans.map(hideSecrets))), []);
		const all = JSON.stringify(plans);
		for (const plant of plants.planned) t.true(all.includes(plant), `${plant} is in no step: the test sees nothing`);
	}));

test('a record of a machine has none of the files that only root can read', t =>
	inMade(async made => {
		const steps = (await planAll(made)).flatMap(({steps}) => steps);
		const files: Record<string, string> = {'/etc/bringup/machine.json': JSON.stringify(made.machine)};
		for (const [path, value] of made.secrets) files[path] = value;
		for (const step of steps) if (step.do === 'write') files[step.path] = step.content;
		const record: RecordedMachine = {commands: {}, files: {}};
		const probe = recordProbe(probeRecord({commands: {}, files}), record);
		for (const path of Object.keys(files)) await Promise.all([probe.read(path), probe.readBytes(path, 4096)]);
		t.deepEqual(findPlanted(JSON.stringify(record)), []);
		t.true(Object.keys(record.files).length > 5);
	}));

test('what bringup says about a profile has none of its secrets', t =>
	inMade(async ({folder, path}) => {
		for (const words of [['check', '--offline'], ['plan'], ['plan', '--json'], ['render']]) {
			const {text} = await say([...words, '--profile', path]);
			t.deepEqual(findPlanted(text), [], words.join(' '));
			t.notRegex(text, /bug:/);
		}
		const out = join(folder, 'rendered');
		await say(['render', '--profile', path, '--out', out]);
		await checkFolder(t, out);
	}));
