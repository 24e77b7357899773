import {Writable} from 'node:stream';
import test from 'ava';
import {explain} from './failure.ts';
import {printable, printableJson, printableLine} from './printable.ts';
import {makeProgress} from './progress.ts';
import {ProgramError, UserError} from './run.ts';
import {makeBoard} from './serve/board.ts';

/** All that a terminal may take for something else than text. */
const hostile = Array.from({length: 0x3000}, (_, code) => String.fromCodePoint(code))
	.filter(mark => /\p{C}|\p{Zl}|\p{Zp}/u.test(mark) && !/\n|\t|\p{Cn}|\p{Co}/u.test(mark))
	.concat('\ud800', '\x1b]52;c;Y2xpcA==\x07');

/** A terminal that keeps what it gets. */
function makeScreen(isTTY: boolean) {
	let text = '';
	const out = new Writable({
		write(chunk, _, done) {
			text += chunk;
			done();
		},
	});
	return {out: Object.assign(out, {isTTY, columns: 60_000}) as never, text: () => text};
}

const isClean = (text: string) => !/(?![\n\t])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u.test(text);

test('what is no text is shown as its number, and text stays', t => {
	t.is(printable('\x1b]52;c;Y2xpcA==\x07'), '\\x1b]52;c;Y2xpcA==\\x07');
	t.is(printable('a\r\nb\rc\td äöü € 漢 🙂'), 'a\nb\nc\td äöü € 漢 🙂');
	t.is(printable('\u202egnp.exe'), '\\u{202e}gnp.exe');
	t.is(printableLine('one\r\ntwo\n'), 'one two');
	for (const mark of hostile) t.true(isClean(printable(mark)), JSON.stringify(mark));
});

test('no error can write to the terminal: of a user, of a program, of ours', t => {
	for (const mark of hostile) {
		const errors = [
			new UserError(mark),
			new ProgramError(['curl', mark], mark, `x${mark}y`, mark),
			new Error(mark),
			mark,
		];
		for (const error of errors) t.true(isClean(explain(error)[0]), JSON.stringify(mark));
	}
});

for (const isTTY of [true, false])
	test(`no line of progress and of the board can write to ${isTTY ? 'a terminal' : 'a log'}`, async t => {
		const own = new RegExp(`${String.fromCharCode(27)}\\[(\\d+A|J|K)|\\r`, 'g');
		for (const mark of hostile) {
			const {out, text} = makeScreen(isTTY);
			const progress = makeProgress(out, false);
			progress.say(mark);
			await progress.stage('stage', async update => update(mark));
			const board = makeBoard(out);
			board.say(mark);
			board.show('web-1', {state: 'failed', at: new Date().toISOString(), failure: mark});
			board.end();
			t.true(isClean(text().replace(own, '')), JSON.stringify(mark));
		}
	});

test('JSON is the same data, in characters that no terminal takes for more', t => {
	const value = {text: hostile.join(''), lines: ['a\nb', '🙂']};
	t.deepEqual(JSON.parse(printableJson(value)), value);
	t.notRegex(printableJson(value), /[^\n\t -~]/);
});
