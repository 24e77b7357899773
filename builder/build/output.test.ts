import {existsSync} from 'node:fs';
import {mkdir, readdir, readFile, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {withFolder} from '../folder.ts';
import {makeProgress, type Progress} from '../progress.ts';
import {run, UserError} from '../run.ts';
import {checkReplaced, hasKeys, isVolume, prepareImage, prepareOutput, prepareTree, withOutput} from './output.ts';
import {type NetbootTree, placeTree, restoreTree} from './pxe.ts';

const inFolder = (use: (folder: string) => Promise<void>) => withFolder(tmpdir(), use);
const signal = new AbortController().signal;

const notOurs = {instanceOf: UserError, message: /is there, and bringup has not made it: remove it, or choose another/};

test('what bringup has not made is not replaced, an artefact and what is beside it', t =>
	inFolder(async folder => {
		const iso = join(folder, 'thesis.iso');
		for (const name of ['thesis.iso', 'thesis.log', 'thesis.iso.sha256', 'thesis.manifest.json']) {
			await writeFile(join(folder, name), 'three years of work\n');
			await t.throwsAsync(prepareOutput(iso), notOurs, name);
			t.is(await readFile(join(folder, name), 'utf8'), 'three years of work\n');
			await run(['rm', join(folder, name)]);
		}
		for (const ending of ['qcow2', 'raw', 'vmdk', 'vhdx', 'ova', 'image.json', 'image.sha256', 'cdx.json']) {
			await writeFile(join(folder, `thesis.${ending}`), 'three years of work\n');
			await t.throwsAsync(prepareImage(join(folder, 'thesis')), notOurs, ending);
			await run(['rm', join(folder, `thesis.${ending}`)]);
		}
		for (const name of ['tree', 'tree.tar', 'tree.log', 'tree.manifest.json']) {
			await writeFile(join(folder, name), 'three years of work\n');
			await t.throwsAsync(prepareTree(join(folder, 'tree')), {instanceOf: UserError}, name);
			await run(['rm', join(folder, name)]);
		}
		await mkdir(join(folder, 'tree'));
		await writeFile(join(folder, 'tree/tree.json'), '{"oak": true}');
		await t.throwsAsync(prepareTree(join(folder, 'tree')), {message: /is no netboot tree/});
		await t.throwsAsync(checkReplaced(join(folder, 'tree'), hasKeys('schema')), {message: /it is a folder/});
	}));

test('what a build has left is replaced: an ISO by its volume or its manifest, a log by its first line', t =>
	inFolder(async folder => {
		const iso = join(folder, 'own.iso');
		await writeFile(join(folder, 'file'), '');
		await run(['xorriso', '-as', 'mkisofs', '-quiet', '-V', 'BRINGUP', '-o', iso, join(folder, 'file')]);
		await writeFile(join(folder, 'own.log'), '$ mmdebstrap\n');
		await writeFile(`${iso}.sha256`, `${'a'.repeat(64)}  own.iso\n`);
		await t.notThrowsAsync(prepareOutput(iso));
		await run(['xorriso', '-as', 'mkisofs', '-quiet', '-V', 'OTHER', '-o', iso, join(folder, 'file')]);
		t.false(await isVolume('BRINGUP')(iso));
		await t.throwsAsync(prepareOutput(iso), notOurs);
		await writeFile(join(folder, 'own.manifest.json'), '{"schema": 1, "artefact": "own.iso", "buildId": "1"}');
		await t.notThrowsAsync(prepareOutput(iso));
	}));

test('one artefact is made by one build at a time, and a build that says nothing leaves no log', t =>
	inFolder(async folder => {
		const iso = join(folder, 'out/p.iso');
		const options = {cache: join(folder, 'cache'), signal};
		await withOutput(iso, options, async () => {
			await t.throwsAsync(
				withOutput(iso, options, async () => {}),
				{message: /another build makes .*p\.iso at this moment; wait for it, or choose another place with --out/},
			);
			await t.notThrowsAsync(withOutput(join(folder, 'out/other.iso'), options, async () => {}));
		});
		t.deepEqual(await readdir(join(folder, 'out')), []);
		await withOutput(iso, options, () => writeFile(join(folder, 'out/p.log'), '$ true\n'));
		t.deepEqual(await readdir(join(folder, 'out')), ['p.log']);
	}));

const written = (epoch: number) =>
	({schema: 1, profile: 'p', buildId: String(epoch), layers: [], epoch}) as unknown as NetbootTree;

/** Places a tree of one file. */
const place = (out: string, epoch: number, progress: Progress, stop: AbortSignal = signal, tar = true) =>
	placeTree({out, progress, tar, secrets: new Map(), signal: stop}, async folder => {
		await writeFile(join(folder, 'file'), String(epoch));
		return {written: written(epoch), describe: async () => ({}) as never};
	});

test('a tree and its tar are put in place when both are whole, or not at all', t =>
	inFolder(async folder => {
		const progress = makeProgress(process.stderr, true);
		const out = join(folder, 'a:b tree');
		await place(out, 1, progress);
		t.deepEqual((await readdir(folder)).sort(), ['a:b tree', 'a:b tree.manifest.json', 'a:b tree.tar']);
		t.regex(
			await run(['tar', '--list', '--force-local', '--file', `${out}.tar`]),
			/^a:b tree\/\n[\s\S]*a:b tree\/file\n/,
		);
		const tar = await readFile(`${out}.tar`);
		// Ctrl-C while the tar is packed.
		const stop = new AbortController();
		const stopping: Progress = {
			...progress,
			stage: (name, work) => {
				if (name === 'tar') stop.abort();
				return progress.stage(name, work);
			},
		};
		await t.throwsAsync(place(out, 2, stopping, stop.signal));
		t.is(await readFile(join(out, 'file'), 'utf8'), '1');
		t.deepEqual(await readFile(`${out}.tar`), tar);
		t.deepEqual((await readdir(folder)).sort(), ['a:b tree', 'a:b tree.manifest.json', 'a:b tree.tar']);
	}));

test('a tree that a power cut has left without its place is put back, and one whose successor stands goes', t =>
	inFolder(async folder => {
		const progress = makeProgress(process.stderr, true);
		const [out, before] = [join(folder, 'tree'), join(folder, '.tree.before')];
		await place(out, 1, progress, signal, false);
		await run(['mv', out, before]);
		await restoreTree(out);
		t.is(await readFile(join(out, 'file'), 'utf8'), '1');
		await run(['cp', '--recursive', out, before]);
		await place(out, 2, progress, signal, false);
		t.false(existsSync(before));
		t.is(await readFile(join(out, 'file'), 'utf8'), '2');
	}));
