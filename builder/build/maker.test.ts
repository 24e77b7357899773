import test from 'ava';
import {packageOf} from '../run.ts';
import type {Index} from './lists.ts';
import {digestCode, readMaker, readRelease, readTools, readVersions} from './maker.ts';
import {programs} from './parts.ts';
import {keyRootfs} from './rootfs.ts';

const index = {debian: {release: 'trixie'}} as Index;

test('a base and what is made of it are of the versions of every tool, and of the code, that made them', async t => {
	const maker = await readMaker();
	const key = (made: unknown) => keyRootfs(index, ['less'], [], new Map(), made);
	const first = key([undefined, maker]);
	t.is(key([undefined, await readMaker()]), first);
	for (const name of Object.keys(maker.tools))
		t.not(key([undefined, {...maker, tools: {...maker.tools, [name]: 'other'}}]), first, name);
	t.not(key([undefined, {...maker, code: 'other'}]), first);
	for (const name of ['node', 'mmdebstrap', 'squashfs-tools', 'xorriso', 'mtools', 'grub-common'])
		t.truthy(maker.tools[name], name);
});

test('each program that makes a medium has its version in the key', async t => {
	const maker = await readMaker();
	const plain = ['apt-config', 'dpkg-query', 'flock', 'setpriv', 'unshare', 'openssl']; // they run others, or tell
	for (const program of programs.filter(name => !plain.includes(name)))
		t.truthy(maker.tools[packageOf(program)], program);
});

test('bringup says its version, and the digest of its code', async t => {
	t.regex(await readRelease(), /^\d+\.\d+\.\d+( \([0-9a-f]{12}(-dirty)?\))?$/);
	t.not(await digestCode(['build']), await digestCode(['bake']));
	t.deepEqual(await readVersions(['no-such-package']), {});
	const tools = await readTools();
	t.is(tools['bringup'], await readRelease());
	t.regex(tools['bringup-code'] ?? '', /^[0-9a-f]{64}$/);
});
