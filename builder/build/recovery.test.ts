import {readdir, stat, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {withFolder} from '../folder.ts';
import {run} from '../run.ts';
import {formatCode, keepRecovery, obtainRecovery} from './recovery.ts';

const inData = (use: (data: string) => Promise<void>) => withFolder(tmpdir(), use);

test('a code is made once: the next build has its hash, and nothing has the code', t =>
	inData(async data => {
		const place = {data, name: 'node-0123'};
		const made = await obtainRecovery({...place, renew: false});
		t.regex(made.code ?? '', /^[bcdefghknoprstux]{28}$/);
		await keepRecovery(place, made.hash);
		t.deepEqual(await obtainRecovery({...place, renew: false}), {hash: made.hash});
		t.deepEqual(await readdir(join(data, 'recovery')), ['node-0123.hash']);
		t.is((await stat(join(data, 'recovery/node-0123.hash'))).mode & 0o777, 0o600);
	}));

test('the hash is that of the code without the spaces it is shown with', t =>
	inData(async data => {
		const {hash, code = ''} = await obtainRecovery({data, name: 'node', renew: false});
		const [, , salt = ''] = hash.split('$');
		const typed = formatCode(code).replaceAll(' ', '');
		t.is((await run(['openssl', 'passwd', '-6', '-salt', salt, '-stdin'], {input: `${typed}\n`})).trim(), hash);
		t.regex(formatCode(code), /^(\w{4} ){6}\w{4}$/);
	}));

test('a code that was never shown is not kept, and a new one is made on demand or for a damaged hash', t =>
	inData(async data => {
		const place = {data, name: 'node'};
		const first = await obtainRecovery({...place, renew: false});
		t.not((await obtainRecovery({...place, renew: false})).hash, first.hash);
		await keepRecovery(place, first.hash);
		t.truthy((await obtainRecovery({...place, renew: true})).code);
		await writeFile(join(data, 'recovery/node.hash'), first.hash.slice(0, 40));
		t.truthy((await obtainRecovery({...place, renew: false})).code);
	}));
