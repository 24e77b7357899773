import {cp, mkdir, readdir, readFile, rm, stat, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {say} from '../bringup.test.say.ts';
import {clusterFiles, makeCluster} from '../build/cluster.ts';
import {makeFolder, withFolder} from '../folder.ts';
import {run} from '../run.ts';

/** Runs bringup with a data folder of its own. */
const bringup = (data: string, args: string[], env: Record<string, string> = {}) =>
	say(args, {XDG_DATA_HOME: data, CI: '', ...env});

const minted = await makeFolder(tmpdir());
await makeCluster(minted, 'home');
test.after.always(() => rm(minted, {recursive: true}));

/** A data folder that has the cluster home. */
async function bringCluster(data: string): Promise<string> {
	await mkdir(join(data, 'bringup/clusters'), {recursive: true});
	await cp(join(minted, 'home'), join(data, 'bringup/clusters/home'), {recursive: true});
	return join(data, 'bringup/clusters/home');
}

const inFolder = (use: (folder: string) => Promise<void>) => withFolder(tmpdir(), use);

test('a cluster goes to another workstation whole, encrypted, and is never put over another of its name', t =>
	inFolder(async folder => {
		const [one, two] = [join(folder, 'one'), join(folder, 'two')];
		await mkdir(two);
		const here = await bringCluster(one);
		const identity = join(folder, 'key');
		await run(['age-keygen', '-o', identity]);
		const key = (await run(['age-keygen', '-y', identity])).trim();
		t.like(await bringup(one, ['cluster', 'export', 'home', '-o', join(one, 'copy'), '-r', key]), {code: 0});
		const copy = join(one, 'copy');
		t.regex(await readFile(copy, 'utf8'), /^-----BEGIN AGE ENCRYPTED FILE-----/);
		t.like(await bringup(two, ['cluster', 'import', copy, '-i', identity]), {code: 0});
		const there = join(two, 'bringup/clusters/home');
		for (const name of clusterFiles) {
			t.is(await readFile(join(there, name), 'utf8'), await readFile(join(here, name), 'utf8'), name);
			t.is((await stat(join(there, name))).mode & 0o077, 0, name);
		}
		t.is((await stat(there)).mode & 0o777, 0o700);
		t.deepEqual(await readdir(join(two, 'bringup/clusters')), ['home']);
		const [listed, same] = await Promise.all([bringup(two, ['cluster', 'list']), bringup(one, ['cluster', 'list'])]);
		t.regex(listed.text, /^home {2}root [0-9a-f]{16}, until /);
		t.is(listed.text.split('  ')[1], same.text.split('  ')[1]);

		t.regex((await bringup(two, ['cluster', 'import', copy, '-i', identity])).text, /already, with the same keys/);
		await writeFile(join(there, 'node-key'), 'another\n');
		const refused = await bringup(two, ['cluster', 'import', copy, '-i', identity]);
		t.is(refused.code, 1);
		t.regex(refused.text, /another cluster home is in .*two\/bringup\/clusters\/home/);
		t.is(await readFile(join(there, 'node-key'), 'utf8'), 'another\n');
	}));

test('what is no copy is refused, and what is no terminal asks for no passphrase', t =>
	inFolder(async folder => {
		const identity = join(folder, 'key');
		await run(['age-keygen', '-o', identity]);
		const key = (await run(['age-keygen', '-y', identity])).trim();
		for (const text of ['{}', '{"schema":1,"cluster":"../x","files":{}}', 'not JSON']) {
			await run(['age', '-r', key, '-o', join(folder, 'copy')], {input: text});
			const {code, text: said} = await bringup(folder, ['cluster', 'import', join(folder, 'copy'), '-i', identity]);
			t.is(code, 1);
			t.regex(said, /is not a copy of a cluster/);
		}
		t.regex((await bringup(folder, ['cluster', 'import', join(folder, 'copy')])).text, /say --identity FILE/);
		t.regex((await bringup(folder, ['cluster', 'export', 'home', '-r', key])).text, /there is no cluster home/);
		await bringCluster(folder);
		t.like(await bringup(folder, ['cluster', 'export', 'home']), {code: 2});
		await writeFile(join(folder, 'bringup/clusters/home/token'), '');
		t.regex((await bringup(folder, ['cluster', 'export', 'home', '-r', key])).text, /home\/token is missing or empty/);
	}));

const profile = `schema: 1
debian: {mirror: "http://127.0.0.1:9/debian"}
install: {disk: {minSize: 16G}}
identity: {hostname: node-1, users: [{name: admin, sshKeys: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEgcppmhmnOuvEPs/uZFLWyxgq4z5jb03cyQg9Iyc7jY own]}]}
network: {links: {mgmt: {}}, bridges: {br0: {ports: {mgmt: {}}, addresses: dhcp}}}
virtualization:
  networks: {lan: {bridge: br0}}
  domains:
    one:
      cpus: 1
      memory: 1G
      disks: [{pool: images, size: 1G}]
      networks: [{network: lan, mac: "52:54:00:62:75:09"}]
      seed:
        users: [{name: admin, sshKeys: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEgcppmhmnOuvEPs/uZFLWyxgq4z5jb03cyQg9Iyc7jY own]}]
        machine: {kubernetes: {role: server, cluster: home}}
`;

test('a new cluster is told, once; a run of CI makes none that nobody asked for', t =>
	inFolder(async folder => {
		await writeFile(join(folder, 'p.yaml'), profile);
		const words = ['seed', '--profile', join(folder, 'p.yaml'), '--domain', 'one', '--out', `${join(folder, 'seed')}/`];
		const refused = await bringup(folder, words, {CI: 'true'});
		t.is(refused.code, 2, refused.text);
		t.regex(refused.text, /cluster import, or say --new-cluster/);
		t.deepEqual(await readdir(folder), ['p.yaml']);
		const place = join(folder, 'bringup/clusters/home');
		const first = await bringup(folder, words);
		t.true(first.text.includes(place));
		t.regex(first.text, /cannot be made again: keep a copy, with {2}bringup cluster export home/);
		await rm(join(folder, 'seed'), {recursive: true});
		const second = await bringup(folder, words, {CI: 'true'});
		t.is(second.code, 0, second.text);
		t.notRegex(second.text, /made the keys/);
	}));
