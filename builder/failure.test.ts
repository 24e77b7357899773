import {mkdir} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {explain} from './failure.ts';
import {FullDiskError, withFolder} from './folder.ts';
import {packageFolder} from './paths.ts';
import {ProgramError, run} from './run.ts';

const dist = (path: string) => JSON.stringify(join(packageFolder, 'dist/builder', path));

/** Writes too much below a disk of a megabyte, by this process or by a program; gives what is told. */
const fill = (folder: string, how: string) =>
	run([
		...(['unshare', '--map-root-user', '--mount', process.execPath, '--input-type=module', '--eval'] as const),
		`
			import {writeFile} from 'node:fs/promises';
			import {withFolder} from ${dist('folder.js')};
			import {run} from ${dist('run.js')};
			import {explain} from ${dist('failure.js')};
			const small = ${JSON.stringify(folder)};
			await run(['mount', '-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', small]);
			await withFolder(small, async work => {
				const file = work + '/file';
				${how}
			}).catch(error => console.log(explain(error).join('\\n')));`,
	]);

test('of a full disk the folder on it is named, and what chooses each place', t =>
	withFolder(tmpdir(), async folder => {
		const small = join(folder, 'small');
		await mkdir(small);
		const full = new RegExp(
			`^${small} is full: free some of it, or choose another place .*--out .*--cache .*TMPDIR`,
			'm',
		);
		t.regex(await fill(small, 'await writeFile(file, Buffer.alloc(2e6));'), full);
		t.regex(await fill(small, "await run(['dd', 'if=/dev/zero', 'bs=1M', 'count=2', 'of=' + file]);"), full);
		t.notRegex(await fill(small, "await run(['cp', '/nonexistent', file]);"), /full/);
	}));

test('of a program that has cleaned up behind itself all places are named', t => {
	const [text, code] = explain(new ProgramError(['xorriso'], 'exited with 5', 'SORRY : No space left on device\n'));
	t.is(code, 1);
	t.regex(text, /^a disk is full: .*--out .*--cache .*TMPDIR/m);
	t.notRegex(explain(new ProgramError(['xorriso'], 'exited with 5', 'something else\n'))[0], /full/);
	t.regex(explain(new FullDiskError('/x', {cause: Object.assign(new Error(), {code: 'ENOSPC'})}))[0], /^\/x is full/m);
});
