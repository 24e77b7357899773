import {mkdir, mkdtemp, readdir, rm, stat, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import type {Update} from '../progress.ts';
import {run} from '../run.ts';
import {copyInto, placeTree} from './pxe.ts';

const progress = {
	seconds: {},
	say: () => {},
	stage: <T>(_: string, work: (update: Update) => Promise<T>) => work(() => {}),
};

test('a netboot tree and its tar are for their owner alone, whatever the umask is', async t => {
	const folder = await mkdtemp(join(tmpdir(), 'bringup-pxe-'));
	try {
		const out = join(folder, 'node-pxe');
		const secret = join(folder, 'secret');
		await writeFile(secret, 'secret', {mode: 0o644});
		await placeTree(
			{out, progress, tar: true, secrets: new Map(), signal: new AbortController().signal},
			async made => {
				await copyInto(made, new Map([['live-0/20-profile.squashfs', secret]]));
				await mkdir(join(made, 'grub'), {mode: 0o777});
				await writeFile(join(made, 'grub/grub.cfg'), 'menu', {mode: 0o666});
				return {written: {epoch: 0} as never, describe: async artefact => artefact as never};
			},
		);
		const paths = [
			'node-pxe',
			...(await readdir(out, {recursive: true})).map(path => join('node-pxe', path)),
			'node-pxe.tar',
		];
		t.is(paths.length, 7);
		for (const path of paths) {
			const found = await stat(join(folder, path));
			t.is(found.mode & 0o777, found.isDirectory() ? 0o700 : 0o600, path);
		}
		const listing = await run(['tar', '--list', '--verbose', '--file', `${out}.tar`]);
		for (const line of listing.trim().split('\n')) t.regex(line, /^(drwx------|-rw-------) 0\/0 /);
		t.deepEqual((await readdir(folder)).sort(), ['node-pxe', 'node-pxe.manifest.json', 'node-pxe.tar', 'secret']);
	} finally {
		await rm(folder, {recursive: true});
	}
});
