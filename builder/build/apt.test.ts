import {chmod, mkdir, readFile, writeFile} from 'node:fs/promises';
import {createServer, type IncomingMessage} from 'node:http';
import type {AddressInfo} from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {withFolder} from '../folder.ts';
import {packageFolder} from '../paths.ts';
import {run} from '../run.ts';
import {type Debian, formatSources, makeAptFolder, placeKeys} from './apt.ts';
import {fetchPoolFiles} from './pool-files.ts';

const mirrors = {mirror: 'http://mirror.example/debian', securityMirror: 'http://mirror.example/debian-security'};
const debian: Debian = {
	release: 'trixie',
	...mirrors,
	onMachine: mirrors,
	components: ['main'],
	packages: [],
	snapshots: [],
	archives: {},
};

const ownKeyring = '/usr/share/keyrings/debian-archive-keyring.gpg';

/** A server that answers everything, and notes what it was asked and by which user. */
async function withServer(use: (url: string, asked: string[], users: Set<number>) => Promise<void>): Promise<void> {
	const asked: string[] = [];
	const users = new Set<number>();
	const answer = async ({url = '', socket}: IncomingMessage) => {
		asked.push(url);
		// The user of the other end, by the kernel's own table of sockets.
		const port = `:${(socket.remotePort ?? 0).toString(16).toUpperCase().padStart(4, '0')}`;
		const rows = (await readFile('/proc/net/tcp', 'utf8')).split('\n').map(line => line.trim().split(/\s+/));
		const row = rows.find(fields => fields[1]?.endsWith(port));
		if (row) users.add(Number(row[7]));
	};
	const server = createServer(async (request, response) => {
		await answer(request);
		if (request.url?.endsWith('.deb')) response.end('a package');
		else response.writeHead(404).end();
	});
	await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
	try {
		await use(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked, users);
	} finally {
		server.closeAllConnections();
		server.close();
	}
}

const inFolder = (use: (folder: string) => Promise<void>) =>
	withFolder(tmpdir(), async folder => {
		await chmod(folder, 0o755);
		await use(folder);
	});

test("as root apt downloads with the rights of _apt, and an ordinary user's with his own", t =>
	inFolder(folder =>
		withServer(async (url, _asked, users) => {
			const cache = join(folder, 'cache');
			const own = {...debian, mirror: url, securityMirror: url};
			const index = {folder: await makeAptFolder(own, formatSources(own), cache), debian: own};
			t.deepEqual(await fetchPoolFiles(index, [{file: 'pool/main/x/x_1_all.deb'}], {cache}), []);
			t.is(await readFile(join(cache, 'packages/x_1_all.deb'), 'utf8'), 'a package');
			const wanted = process.getuid?.() === 0 ? Number(await run(['id', '--user', '_apt'])) : process.getuid?.();
			t.deepEqual([...users], [wanted]);
		}),
	));

test("the archive is asked through the proxy of this workstation's own apt, and the profile's goes first", t =>
	inFolder(folder =>
		withServer(async (url, asked) => {
			await writeFile(join(folder, 'host.conf'), `Acquire::http::Proxy "${url}";\n`);
			const profile = join(folder, 'p.yaml');
			const check = async (debian: string) => {
				asked.length = 0;
				const golden = join(packageFolder, 'builder/render/golden/node.yaml');
				await writeFile(
					profile,
					`extends: ${golden}\nschema: 1\ndebian: {mirror: 'http://mirror.example/debian'${debian}}\n`,
				);
				const words = ['check', '--profile', profile, '--cache', join(folder, 'cache')];
				const env = {APT_CONFIG: join(folder, 'host.conf'), HOME: folder};
				await t.throwsAsync(run(['node', join(packageFolder, 'dist/builder/cli.js'), ...words], {env}));
			};
			await check('');
			t.true(asked.includes('http://mirror.example/debian/dists/trixie/InRelease'));
			await check(", proxy: 'http://127.0.0.1:9'");
			t.deepEqual(asked, []);
		}),
	));

test('a key of an archive may lie anywhere: apt gets it by a path without a space', t =>
	inFolder(async folder => {
		const mine = join(folder, 'My Profiles, and others');
		await mkdir(mine);
		const key = join(mine, 'own key.gpg');
		await writeFile(key, await readFile(ownKeyring));
		const archive = {uri: 'http://mirror.example/own', suite: 'trixie', components: ['main'], key};
		const own = {...debian, archives: {own: archive}} as unknown as Debian;
		const placed = await placeKeys(own, join(folder, 'cache'));
		t.deepEqual(await readFile(placed.archives['own']?.key ?? ''), await readFile(ownKeyring));
		const at = await makeAptFolder(placed, formatSources(placed), join(folder, 'cache'));
		const uris = await run(['apt-get', 'update', '--print-uris'], {env: {APT_CONFIG: join(at, 'apt.conf')}});
		t.true(uris.includes("'http://mirror.example/own/dists/trixie/InRelease'"));
		await t.throwsAsync(placeKeys(own, join(folder, 'a cache')), {message: /no space and no comma \(--cache\)/});
		await t.throwsAsync(makeAptFolder(own, '', join(folder, 'a"cache')), {
			message: /no quote and no backslash \(--cache\)/,
		});
	}));
