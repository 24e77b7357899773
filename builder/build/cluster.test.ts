import {X509Certificate} from 'node:crypto';
import {mkdtemp, readdir, readFile, rm, stat, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {authorityFiles, clusterSecrets} from '../../firstboot/sequence.ts';
import {packageFolder} from '../paths.ts';
import {completeProfile} from '../profile/complete.ts';
import {loadProfile} from '../profile/profile.ts';
import {run} from '../run.ts';
import {fetchClusterFiles, fetchMembers, listMembers} from './cluster.ts';

const clusters = await mkdtemp(join(tmpdir(), 'bringup-clusters-'));
const first = {role: 'server', cluster: 'home', server: undefined, nodeName: undefined} as const;
const second = {...first, server: 'https://192.0.2.11:6443'} as const;
const agent = {...second, role: 'agent'} as const;
const [server, , again] = await Promise.all([
	fetchClusterFiles(first, 'node-1', clusters),
	fetchClusterFiles(first, 'node-1', clusters),
	fetchClusterFiles(first, 'node-1', clusters),
]);
const readAuthority = (name: string) => server.get(`${clusterSecrets}/tls/${name}`) ?? '';

test.after.always(() => rm(clusters, {recursive: true}));

test('builds at the same time and later ones find one cluster, and leave nothing else behind', async t => {
	t.deepEqual(again, server);
	t.deepEqual(await fetchClusterFiles(first, 'node-1', clusters), server);
	t.deepEqual(await readdir(clusters), ['home']);
	t.is((await stat(join(clusters, 'home'))).mode & 0o777, 0o700);
});

test('every authority leads to the root, may sign, and lives for ten years and more', async t => {
	const folder = join(clusters, 'home');
	const inTenYears = Date.now() + 3652 * 86_400_000;
	for (const name of authorityFiles.filter(name => name.endsWith('.crt'))) {
		await t.notThrowsAsync(
			run(['openssl', 'verify', '-x509_strict', '-CAfile', 'root-ca.crt', '-untrusted', 'intermediate-ca.crt', name], {
				cwd: folder,
			}),
		);
		const certificate = new X509Certificate(readAuthority(name));
		t.true(certificate.ca, name);
		t.true(Date.parse(certificate.validTo) > inTenYears, name);
		t.is(readAuthority(name).match(/BEGIN CERTIFICATE/g)?.length, 3, name);
		const text = await run(['openssl', 'x509', '-noout', '-ext', 'keyUsage,basicConstraints'], {
			input: readAuthority(name),
		});
		t.regex(text, /critical\n\s+CA:TRUE[\s\S]*Certificate Sign/);
		const key = await run(['openssl', 'pkey', '-pubout'], {input: readAuthority(name.replace('.crt', '.key'))});
		t.is(key, certificate.publicKey.export({type: 'spki', format: 'pem'}).toString(), name);
	}
	t.regex(readAuthority('service.key'), /^-----BEGIN RSA PRIVATE KEY-----/);
});

test("the tokens carry the fingerprint of the root, as openssl tells it and as K3s finds it in the server's chain", async t => {
	const pem = readAuthority('server-ca.crt').match(/-----BEGIN[\s\S]*?-----END CERTIFICATE-----/g) ?? [];
	const told = await run(['openssl', 'x509', '-noout', '-fingerprint', '-sha256'], {input: pem.at(-1) ?? ''});
	const hash = told.trim().split('=')[1]?.replaceAll(':', '').toLowerCase();
	t.regex(server.get(`${clusterSecrets}/token`) ?? '', new RegExp(`^K10${hash}::server:[0-9a-f]{64}$`));
	t.regex(server.get(`${clusterSecrets}/agent-token`) ?? '', new RegExp(`^K10${hash}::node:[0-9a-f]{64}$`));
});

test('no machine gets the key of root or intermediate; a further server no authority; an agent its token alone', async t => {
	const secrets = await Promise.all(
		['root-ca.key', 'intermediate-ca.key'].map(name => readFile(join(clusters, 'home', name), 'utf8')),
	);
	t.is(server.size, authorityFiles.length + 3);
	for (const key of secrets) t.false([...server.values()].includes(key.trimEnd()));
	t.deepEqual(
		[...(await fetchClusterFiles(second, 'node-2', clusters)).keys()],
		[`${clusterSecrets}/agent-token`, `${clusterSecrets}/token`, '/etc/rancher/node/password'],
	);
	t.deepEqual(
		[...(await fetchClusterFiles(agent, 'node-3', clusters)).keys()],
		[`${clusterSecrets}/agent-token`, '/etc/rancher/node/password'],
	);
});

test('the clones of a machine are members by their seeds, each with files of its own on the machine', async t => {
	const profile = await loadProfile(join(packageFolder, 'profiles/homelab.yaml'));
	const complete = completeProfile(profile, {mirror: 'http://m', securityMirror: 'http://s', sshKeys: []});
	if (Array.isArray(complete)) return t.fail();
	const elsewhere = await mkdtemp(join(tmpdir(), 'bringup-clusters-'));
	t.teardown(() => rm(elsewhere, {recursive: true}));
	const files = await fetchMembers(listMembers(complete), elsewhere);
	const place = (name: string, path: string) => `/etc/bringup/secrets/domains/${name}${path}`;
	t.is(files.size, authorityFiles.length + 3 + 2 + 2);
	t.is(
		files.get(place('control-1', `${clusterSecrets}/agent-token`)),
		files.get(place('worker-1', `${clusterSecrets}/agent-token`)),
	);
	const password = (name: string) => files.get(place(name, '/etc/rancher/node/password'));
	t.regex(password('worker-1') ?? '', /^[0-9a-f]{32}$/);
	t.not(password('worker-1'), password('worker-2'));
});

test('a name has one node password for ever, a pattern has none', async t => {
	const password = async (hostname: string, nodeName?: string) =>
		(await fetchClusterFiles({...agent, nodeName}, hostname, clusters)).get('/etc/rancher/node/password');
	t.regex((await password('node-3')) ?? '', /^[0-9a-f]{32}$/);
	t.is(await password('node-3'), await password('other', 'node-3'));
	t.not(await password('node-3'), await password('node-4'));
	t.is(await password('node-{mac}'), undefined);
});

test('a cluster that lost a file is not given another one in silence', async t => {
	const elsewhere = await mkdtemp(join(tmpdir(), 'bringup-clusters-'));
	t.teardown(() => rm(elsewhere, {recursive: true}));
	await fetchClusterFiles(second, 'node-3', elsewhere);
	const token = join(elsewhere, 'home/token');
	const whole = await readFile(token, 'utf8');
	await writeFile(token, '');
	await t.throwsAsync(fetchClusterFiles(second, 'node-3', elsewhere), {message: /home\/token is missing or empty/});
	await writeFile(token, whole.replace(/K10..../, 'K100000'));
	await t.throwsAsync(fetchClusterFiles(second, 'node-3', elsewhere), {message: /home\/token is not of the root-ca/});
});
