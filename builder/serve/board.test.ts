import test from 'ava';
import {makeBoard} from './board.ts';
import type {Entry} from './orders.ts';

const entry = (state: Entry['state'], seconds: number, failure?: string): Entry => {
	return {state, at: new Date(Date.now() - seconds * 1000).toISOString(), ...(failure === undefined ? {} : {failure})};
};

/** A stream that keeps what is written, as a terminal or as a file. */
function makeScreen(isTTY: boolean): {out: NodeJS.WriteStream; text: () => string} {
	let text = '';
	const write = (chunk: string) => {
		text += chunk;
		return true;
	};
	return {out: {isTTY, columns: 40, write} as never, text: () => text};
}

test('each machine is one row on a terminal: drawn again in place, with lines above it, no wider than the screen', t => {
	const {out, text} = makeScreen(true);
	const board = makeBoard(out);
	board.show('web-1', entry('installing', 5));
	board.show('a', entry('failed', 300, 'phase disk: two disks match, and more than fits\nhere'));
	board.say('unknown machine');
	board.end();
	t.deepEqual(text().split('\x1b[2A\x1b[J').at(-1)?.split('\n'), [
		'unknown machine',
		'web-1  installing     5 s',
		'a      failed       5 min  phase disk:',
		'',
	]);
});

test('in a log a change is a line', t => {
	const {out, text} = makeScreen(false);
	const board = makeBoard(out);
	board.show('web-1', entry('booting', 0));
	board.say('hello');
	board.show('web-1', entry('failed', 0, 'phase disk: no disk'));
	board.end();
	t.is(text(), 'web-1: booting\nhello\nweb-1: failed: phase disk: no disk\n');
});
