import {mkdir, readdir, readFile, rm, stat, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import test, {type ExecutionContext} from 'ava';
import {run, start} from '../builder/run.ts';
import {makeTree} from '../builder/serve/desk.test.parts.ts';
import {folder} from './vm.ts';
import {addClient, type Client, makeWire} from './wire.ts';

const own = join(folder, 'serve-strangers');
const state = join(own, 'state');
const machinesFile = join(own, 'machines.yaml');
const server = 'http://192.0.2.1:8080';
const mac = '52:54:00:62:75:01';
const word = 'A\u009b31m\u001b]52;c;Y2xpcA==\u0007';

const writeMachines = (order: number) =>
	writeFile(machinesFile, `schema: 1\nmachines: {web-1: {mac: "${mac}", profile: node, order: ${order}}}\n`);

interface Answer {
	status: number;
	body: string;
}

async function ask(client: Client, path: string, ...options: string[]): Promise<Answer> {
	const command = ['curl', '--silent', '--max-time', '20', '--path-as-is', '--write-out', '\n%{http_code}', ...options];
	const text = await run(client.on(...command, `${server}${path}`));
	const end = text.lastIndexOf('\n');
	return {status: Number(text.slice(end + 1)), body: text.slice(0, end)};
}

async function until(t: ExecutionContext, what: string, holds: () => Promise<boolean>): Promise<void> {
	for (let tries = 0; tries < 60; tries++) {
		if (await holds().catch(() => false)) return;
		await sleep(500);
	}
	t.fail(what);
}

test('on a real wire a stranger gets nothing that is secret, ends no install, and writes nothing to the terminal', async t => {
	t.timeout(120_000);
	await rm(own, {recursive: true, force: true});
	await mkdir(own, {recursive: true});
	const tree = await makeTree(join(own, 'node-pxe'));
	await run(['chmod', '-R', 'go=', tree]);
	await writeMachines(1);
	const wire = await makeWire('serve', []);
	t.teardown(() => wire.remove());
	const machine = await addClient(wire, 'machine', mac, '192.0.2.11');
	t.teardown(() => machine.remove());
	const stranger = await addClient(wire, 'stranger', '52:54:00:66:66:66', '192.0.2.66');
	t.teardown(() => stranger.remove());
	const options = ['--interface', 'wire', '--machines', machinesFile, '--state', state];
	const leases = ['--lease-range', '192.0.2.100,192.0.2.150'];
	const serve = start(wire.on('node', 'dist/builder/cli.js', 'serve', ...options, ...leases, tree));
	t.teardown(() => serve.kill('SIGTERM'));
	await until(t, 'it serves', async () => (await ask(stranger, '/grub/grub.cfg')).status === 200);

	await until(t, 'dnsmasq, which is not root, gives the loaders', async () => {
		const loader = await run(stranger.on('curl', '--silent', '--max-time', '5', 'tftp://192.0.2.1/bootx64.efi'));
		return loader === 'shim';
	});
	const guesses = [
		...['/', '/trees/', '/machines/', '/machines/web-1/', '/tree.json', '/machines/web-1/20-profile.squashfs'],
		...['/trees/node/live-0123456789abcdef/20-profile.squashfs', '/live/initrd.img', '/state/web-1.json'],
		...['/machines/web-1/../../../../etc/passwd', '/..%2f..%2fetc%2fpasswd', '/%2e%2e/%2e%2e/etc/passwd'],
	];
	for (const path of guesses) t.is((await ask(stranger, path)).status, 404, path);
	t.notRegex((await ask(stranger, `/boot/${mac}/-`)).body, /linux|[0-9a-f]{32}/);

	const menu = (await ask(machine, `/boot/${mac}/-`)).body;
	const [, token = ''] = /\/report\/web-1\/([0-9a-f]{32}) /.exec(menu) ?? [];
	const layer = `/machines/web-1/${token}/20-profile.squashfs`;
	t.is((await ask(stranger, layer)).status, 404, 'with the word, but not from its network card');
	const report = ['--request', 'POST', '--data'];
	const failed = JSON.stringify({state: 'failed', failures: [{phase: word, message: word}]});
	t.is((await ask(stranger, `/report/web-1/${token}`, ...report, '{"state":"done"}')).status, 403);
	t.is((await ask(stranger, `/report/web-1/${'0'.repeat(32)}`, ...report, failed)).status, 403);
	t.is((await ask(machine, layer)).body, 'secret!');
	const second = (await ask(machine, `/boot/${mac}/-`)).body;
	t.regex(second, /its install is under way/);
	t.notRegex(second, /[0-9a-f]{32}/);
	t.is((await ask(machine, `/report/web-1/${token}`, ...report, failed)).status, 204);
	t.is((await ask(machine, layer)).status, 404, 'after its report it needs nothing more');
	const again = /\/report\/web-1\/([0-9a-f]{32}) /.exec((await ask(machine, `/boot/${mac}/-`)).body)?.[1] ?? '';
	t.is((await ask(machine, `/report/web-1/${again}`, ...report, '{"state":"done"}')).status, 204);
	t.regex((await ask(machine, `/boot/${mac}/-`)).body, /is installed; booting its disk/);

	await writeMachines(2);
	await until(t, 'another order is taken without a restart', async () =>
		/^linux /m.test((await ask(machine, `/boot/${mac}/-`)).body),
	);
	const another = start(wire.on('node', 'dist/builder/cli.js', 'serve', ...options, tree));
	t.regex((await another.ended).output, /another bringup serve uses/);
	serve.kill('SIGTERM');
	const {output, exitCode} = await serve.ended;
	t.log(output);
	t.is(exitCode, 0);
	for (const text of [output, await readFile(join(state, 'serve.log'), 'utf8')]) {
		t.notRegex(text, /(?![\n\t])[\p{Cc}\p{Cf}]/u);
		t.regex(text, /192\.0\.2\.66 \(52:54:00:66:66:66\) says that it is 52:54:00:62:75:01, and gets nothing/);
		t.regex(text, /192\.0\.2\.66 \(52:54:00:66:66:66\) has the word of web-1/);
		t.regex(text, /web-1: its install is under way/);
		t.regex(text, /web-1: failed: phase A\\x9b31m\\x1b\]52;/);
		t.false(text.includes(token));
	}
	const names = ['.lock', 'leases', 'serve.log', 'web-1.json', 'web-1.report.json'];
	t.deepEqual((await readdir(state)).sort(), names);
	t.is((await stat(state)).mode & 0o777, 0o700);
	t.notRegex(await readFile(join(state, 'web-1.report.json'), 'latin1'), /[^\n\t -~]/);
	const left = (await readdir(tmpdir())).filter(name => name.includes(`-${serve.pid}-`));
	t.deepEqual(left, [], tmpdir());
	t.deepEqual(
		(await readdir('/run')).filter(name => name.startsWith('.bringup-')),
		[],
	);
});
