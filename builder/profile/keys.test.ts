import {readFile, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {findKeyFault} from '../../firstboot/facts/keys.ts';
import {withFolder} from '../folder.ts';
import {run} from '../run.ts';

const field = (content: Buffer | string) => {
	const bytes = Buffer.from(content);
	const length = Buffer.alloc(4);
	length.writeUInt32BE(bytes.length);
	return Buffer.concat([length, bytes]);
};

/** A key of each type. Those on tokens are made from plain ones, as no token is here. */
async function makeKeys(folder: string): Promise<{type: string; blob: Buffer}[]> {
	const kinds = ['rsa 1024', 'rsa 2048', 'ecdsa 256', 'ecdsa 384', 'ecdsa 521', 'ed25519 256'].map(kind =>
		kind.split(' '),
	);
	const plain = await Promise.all(
		kinds.map(async ([type = '', bits = '']) => {
			const path = join(folder, `${type}${bits}`);
			await run(['ssh-keygen', '-q', '-t', type, '-b', bits, '-N', '', '-f', path]);
			const [name = '', text = ''] = (await readFile(`${path}.pub`, 'utf8')).split(' ');
			return {type: name, blob: Buffer.from(text, 'base64')};
		}),
	);
	const tokens = plain
		.filter(({type}) => /ed25519|nistp256/.test(type))
		.map(({type, blob}) => {
			const name = `sk-${type}@openssh.com`;
			return {type: name, blob: Buffer.concat([field(name), blob.subarray(4 + type.length), field('ssh:')])};
		});
	return [...plain, ...tokens];
}

let state = 7;
function pick(count: number): number {
	state = (state * 48_271) % 2_147_483_647;
	return state % count;
}

/** The key with one thing wrong in its bytes, or in its text. */
function mutate({type, blob}: {type: string; blob: Buffer}): string {
	const bytes = Buffer.from(blob);
	const at = pick(bytes.length);
	const cases = [
		() => bytes.fill((bytes[at] ?? 0) ^ (1 << pick(8)), at, at + 1),
		() => bytes.subarray(0, at),
		() => Buffer.concat([bytes, Buffer.alloc(1 + pick(40), pick(256))]),
		() => Buffer.concat([bytes.subarray(0, at), Buffer.from([pick(256)]), bytes.subarray(at)]),
		() => Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1)]),
		() => Buffer.concat([bytes, field('more')]),
		() => bytes,
	];
	const text = (cases[pick(cases.length)]?.() ?? bytes).toString('base64');
	const index = pick(text.length + 1);
	const strange = ['=', '==', 'A', '-', '_', '*', 'é', '\u00A0', '\uFEFF', '\u2003', ' ', '\t'];
	const texts = [
		() => text,
		() => text,
		() => text.replace(/=+$/, ''),
		() => text.slice(0, index),
		() => text.slice(0, index) + strange[pick(strange.length)] + text.slice(index),
		() => text + strange[pick(strange.length)],
	];
	const gaps = [' ', ' ', ' ', '  ', '\t', '\u00A0', '\uFEFF'];
	const before = ['', '', '', ' ', '\t', '\u00A0', '\uFEFF'];
	return `${before[pick(20)] ?? ''}${type}${gaps[pick(20)] ?? ' '}${texts[pick(6)]?.()}`;
}

test('a key is taken where `ssh-keygen -l` takes it, whatever is done to it', async t => {
	await withFolder(tmpdir(), async folder => {
		const keys = await makeKeys(folder);
		const whole = keys.map(({type, blob}) => `${type} ${blob.toString('base64')}`);
		for (const line of whole) t.is(findKeyFault(`${line} me@here`), undefined, line);
		const lines = [
			...whole,
			...Array.from({length: 6000}, () => mutate(keys[pick(keys.length)] ?? {type: '', blob: Buffer.alloc(0)})),
		];
		const path = join(folder, 'lines');
		await writeFile(path, lines.map((line, index) => `${line} number-${index}\n`).join(''));
		const listed = await run(['ssh-keygen', '-l', '-f', path]);
		const taken = new Set([...listed.matchAll(/ number-(\d+) \(/g)].map(([, index]) => Number(index)));
		t.true(taken.size > 300 && taken.size < 4000);
		for (const [index, line] of lines.entries())
			t.is(findKeyFault(`${line} number-${index}`) === undefined, taken.has(index), JSON.stringify(line));
	});
});

test('what is wrong with a key is told', t => {
	t.is(findKeyFault('ssh-ed25519 AAAA\nssh-ed25519 AAAA'), 'a key is one line');
	t.regex(findKeyFault('ssh-ed25519 \u0000') ?? '', /control character/);
	t.regex(findKeyFault('ssh-ed25519\u000BAAAA') ?? '', /control character/);
	t.regex(findKeyFault('ssh-dss AAAA') ?? '', /expected an OpenSSH public key/);
	t.regex(findKeyFault('ssh-ed25519') ?? '', /damaged/);
	const short = [field('ssh-rsa'), field(Buffer.from([1, 0, 1])), field(Buffer.alloc(64, 0x7f))];
	t.regex(findKeyFault(`ssh-rsa ${Buffer.concat(short).toString('base64')}`) ?? '', /has 511 bits/);
});
