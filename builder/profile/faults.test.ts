import test from 'ava';
import {formatFault} from './faults.ts';

const show = (text: string, column: number, message = 'no') =>
	formatFault({path: 'a', message, place: {file: '/p.yaml', text, line: 3, column, length: 4}}).split('\n');

test('a terminal does not obey what stands in a profile', t => {
	const hostile = 'a: \u001B[2J\u001B]52;c;AAAA\u0007 \u009B31m \u202E\u2066 \0 \u2028';
	for (const line of show(hostile, 4, hostile)) t.notRegex(line, /\p{C}|[\u2028\u2029]/u);
});

test('of a long line the stretch around the fault is shown, with the caret under it', t => {
	const text = `${'x'.repeat(1_000_000)}HERE${'y'.repeat(1_000_000)}`;
	for (const [line, column] of [
		[text, 1_000_001],
		[text.slice(1_000_000), 1],
		[text.slice(0, 1_000_004), 1_000_001],
	] as const) {
		const [head = '', shown = '', carets = ''] = show(line, column, line);
		t.true(head.startsWith(`/p.yaml:3:${column}: error: a: `));
		t.true(head.length < 1100 && shown.length < 140);
		t.is(shown.slice(carets.indexOf('^'), carets.lastIndexOf('^') + 1), 'HERE');
	}
});
