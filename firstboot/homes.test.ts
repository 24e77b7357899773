import {mkdir, rmdir, symlink, truncate, writeFile} from 'node:fs/promises';
import {createServer} from 'node:net';
import {tmpdir} from 'node:os';
import {dirname, join} from 'node:path';
import test from 'ava';
import {withFolder} from '../builder/folder.ts';
import {run} from '../builder/run.ts';
import {findHome, readInHome} from './homes.ts';

const name = '.local/share/containers/storage/secrets/secrets.json';

/** What is said of the file when a user has made this of it. */
async function read(make: (path: string, other: string) => Promise<unknown>): Promise<string> {
	return withFolder(tmpdir(), async folder => {
		const [home, path] = [join(folder, 'apps'), join(folder, 'apps', name)];
		const other = join(folder, 'other', name);
		for (const one of [path, other]) await mkdir(dirname(one), {recursive: true});
		await writeFile(other, 'of another');
		await make(path, other);
		try {
			return readInHome(path, home);
		} catch (error) {
			return (error as Error).message;
		}
	});
}

test('a plain file is read, and one that is not there is not there', async t => {
	t.is(await read(path => writeFile(path, '{}')), '{}');
	t.regex(await read(async () => undefined), /^ENOENT/);
});

test('a FIFO is not waited for', async t => {
	t.regex(await read(path => run(['mkfifo', path])), /secrets\.json is no plain file/);
});

test('a link, a folder that is one, a socket, a folder and a file without end are refused', async t => {
	t.regex(await read((path, other) => symlink(other, path)), /is a symbolic link/);
	const folder = async (path: string, other: string) => {
		await rmdir(dirname(path));
		await symlink(dirname(other), dirname(path));
	};
	t.regex(await read(folder), /lies behind a symbolic link/);
	t.regex(await read(path => mkdir(path)), /is no plain file/);
	const listen = (path: string) => new Promise<void>(resolve => createServer().unref().listen(path, resolve));
	t.regex(await read(listen), /is no plain file/);
	t.regex(
		await read(async path => {
			await writeFile(path, '');
			await truncate(path, 2 ** 40);
		}),
		/is larger than 64 MiB/,
	);
});

test('only what lies in a home is somebody’s', t => {
	t.is(findHome('/home/apps/x/y'), '/home/apps');
	for (const path of ['/home', '/home/apps', '/home/', '/etc/home/a/b', '/run/user/2000/x'])
		t.is(findHome(path), undefined);
});
