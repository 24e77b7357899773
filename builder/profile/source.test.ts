import {writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {withFolder} from '../folder.ts';
import {loadSource} from './source.ts';

/** What a profile and the one that it extends come to. */
async function load(base: string, over: string): Promise<unknown> {
	return withFolder(tmpdir(), async folder => {
		await writeFile(join(folder, 'base.yaml'), base);
		await writeFile(join(folder, 'p.yaml'), `extends: base.yaml\n${over}`);
		const {source, faults} = await loadSource(join(folder, 'p.yaml'));
		return faults.length > 0 ? faults.map(({message}) => message) : source.value;
	});
}

const base = 'install: {disk: {serial: SYSTEM, minSize: 100G}}\n';

test('a serial that YAML takes for a number, and one that is too large, stays the serial', async t => {
	for (const serial of ['2205E6075402', '0x1a2b3c4d', '010', '1e999', '.inf', 'true'])
		t.deepEqual(await load(base, `install: {disk: {serial: ${serial}}}\n`), {
			extends: 'base.yaml',
			install: {disk: {serial, minSize: '100G'}},
		});
});

test('only nothing takes away what the base has', async t => {
	for (const nothing of ['', ' null', ' ~', ' Null'])
		t.deepEqual(await load(base, `install:\n  disk:\n    serial:${nothing}\n`), {
			extends: 'base.yaml',
			install: {disk: {minSize: '100G'}},
		});
});

test('a name that JavaScript knows is a name like any other', async t => {
	const links = (name: string) => `network: {links: {${name}: {mtu: 1500}}}\n`;
	for (const name of ['constructor', 'toString', 'hasOwnProperty'])
		t.deepEqual(await load(links(name), links('a')), {
			extends: 'base.yaml',
			network: {links: {[name]: {mtu: 1500}, a: {mtu: 1500}}},
		});
});
