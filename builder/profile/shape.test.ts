import {readdir} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {packageFolder} from '../paths.ts';
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
