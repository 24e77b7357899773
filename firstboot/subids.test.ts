import test from 'ava';
import {probeRecord} from './record.ts';
import {findUnranged, planUserRanges} from './subids.ts';

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

/** What the files hold after the steps. */
async function give(names: string[], files: Record<string, string>): Promise<Record<string, string>> {
	const steps = await planUserRanges(names, probeRecord({commands: {}, files}));
	return {
		...files,
		...Object.fromEntries(steps.flatMap(step => (step.do === 'write' ? [[step.path, step.content]] : []))),
	};
}

test('people get the ranges that useradd gives, the same in both files, whatever a power cut has left', async t => {
	const [uids, gids] = ['/etc/subuid', '/etc/subgid'] as const;
	const both = (text: string) => ({[uids]: text, [gids]: text});
	const two = both('ann:100000:65536\nbob:165536:65536\n');
	t.deepEqual(await give(['ann', 'bob'], both('')), two);
	t.deepEqual(await give(['ann', 'bob'], {...both(''), [uids]: 'ann:100000:65536\n'}), two);
	t.deepEqual(await give(['bob'], {...two, [gids]: 'ann:100000:65536\n'}), two);
	t.deepEqual(
		await give(['ann'], both('web:10000000:65536\nold:1:150000\n')),
		both('web:10000000:65536\nold:1:150000\nann:165536:65536\n'),
	);
	t.deepEqual(await give(['ann'], {[uids]: ''}), {[uids]: 'ann:100000:65536\n'});
	t.deepEqual(await give(['ann'], {[uids]: '# ours\nx\n'}), {[uids]: '# ours\nx\nann:100000:65536\n'});
});
