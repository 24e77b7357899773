import test from 'ava';
import {findUnranged} from './subids.ts';

const web = {name: 'web', uid: 2001};

test('a range of another user is not taken, and both are named', t => {
	const message =
		/^\/etc\/subuid: the range 10065536-10131071 of web .* overlaps with 10100000-10165535 of other; remove that line/;
	const find = (line: string) => findUnranged(`web:10065536:65536\n${line}\n`, '/etc/subuid', [web]);
	t.throws(() => find('other:10100000:65536'), {message});
	t.throws(() => find('other:10131071:1'));
	t.throws(() => find('other:1:20000000'));
	t.deepEqual(find('other:10131072:65536'), []);
	t.deepEqual(find('other:10065535:1'), []);
});

test('a user has one range, by name', t => {
	const find = (text: string) => findUnranged(text, '/etc/subuid', [web]);
	t.deepEqual(find('web:10065536:65536\n'), []);
	for (const text of ['', 'web:10065536:1\n', '2001:10065536:65536\n', 'web:10065536:65536\n2001:1:1\n'])
		t.deepEqual(find(text), [web]);
});
