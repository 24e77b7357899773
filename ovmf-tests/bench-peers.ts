/** `npm run bench:peers`: the golden image `guest`, and the same packages by Debian's own makers of images, side by side in one run: how long it takes, how large it is, how soon it is at its login. Needs root, as they do. JSON to out/bench-peers.json, a table to the screen. */
import {copyFileSync, readdirSync} from 'node:fs';
import {cp, mkdir, readdir, readFile, rm, stat, writeFile} from 'node:fs/promises';
import {basename, join, resolve} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {findAccelerator} from '../builder/boot/accel.ts';
import {findPort, startMachine} from '../builder/boot/machine.ts';
import {type Command, run, runLong, start} from '../builder/run.ts';
import {userCache} from './vm.ts';

const folder = resolve('out/bench-peers');
const recipes = resolve('ovmf-tests/peers');
const say = (line: string) => process.stdout.write(`${line}\n`);

/** Seconds and bytes of one way to make the image. */
interface Figures {
	/** Packages at hand, nothing else. */
	first: number;
	/** With one text in the image changed, and whatever the tool keeps from before. */
	changed: number;
	size: number;
	/** From power-on to `login:` on the serial port, under BIOS. */
	login: number;
}

async function time(work: () => Promise<unknown>): Promise<number> {
	const since = performance.now();
	await work();
	return (performance.now() - since) / 1000;
}

/** Boots an image as it is, without a seed. */
async function bootToLogin(name: string, image: string): Promise<number> {
	const disk = {path: image, format: 'qcow2', bus: 'virtio', serial: 'PEER'} as const;
	const options = {memory: 1024, mac: '52:54:00:62:75:01', isolated: true, snapshot: true, firmware: 'bios'} as const;
	const machine = await startMachine({...options, folder: join(folder, `${name}.machine`), disks: [disk]});
	try {
		return await time(() => machine.waitFor(/login: /, 1200, /Kernel panic/));
	} finally {
		await machine.cut();
	}
}

/** The archives `debian` and `security` on loopback, by nginx, which keeps what they give: no download is measured. Gives what ends it. */
async function startMirror(
	port: number,
	archives: Record<'debian' | 'security', string>,
): Promise<() => Promise<unknown>> {
	const own = join(folder, 'mirror');
	await mkdir(own, {recursive: true});
	const places = Object.entries(archives).map(([name, uri]) => `location /${name}/ { proxy_pass ${uri}/; }`);
	const lines = [
		`daemon off; user root; pid ${own}/pid; error_log stderr; events {}`,
		`http { access_log off; proxy_temp_path ${own}/temp; proxy_cache_path ${own}/cache keys_zone=kept:16m inactive=1d;`,
		'proxy_cache kept; proxy_cache_valid 200 1d; proxy_ignore_headers Cache-Control Expires; proxy_ssl_server_name on;',
		'proxy_http_version 1.1; proxy_set_header Connection "";',
		`server { listen 127.0.0.1:${port}; ${places.join(' ')} } }`,
	];
	await writeFile(join(own, 'nginx.conf'), lines.join('\n'));
	const nginx = start(['nginx', '-e', 'stderr', '-p', own, '-c', join(own, 'nginx.conf')]);
	const isUp = () =>
		fetch(`http://127.0.0.1:${port}/`).then(
			() => true,
			() => false,
		);
	for (let tries = 0; !(await isUp()); tries++) {
		if (tries === 100) throw new Error(`nginx does not answer after ten seconds; by hand: nginx -c ${own}/nginx.conf`);
		await sleep(100);
	}
	return () => {
		nginx.kill('SIGTERM');
		return nginx.ended;
	};
}

/** Bakes until the image is packed: its proof, which is cut off here, nobody else has. Gives the seconds, and keeps the image. */
async function bakeUnproven(bake: Command, image: string): Promise<number> {
	const since = performance.now();
	const cut = new AbortController();
	let seconds = Number.NaN;
	const onLine = (line: string) => {
		if (!line.startsWith('prove ') || cut.signal.aborted) return;
		seconds = (performance.now() - since) / 1000;
		const work = readdirSync(folder).find(name => name.startsWith('.bringup-'));
		copyFileSync(join(folder, work ?? '', basename(image)), image);
		cut.abort();
	};
	await runLong(bake, {onLine, signal: cut.signal}).catch(error => {
		if (!cut.signal.aborted) throw error;
	});
	return seconds;
}

/** By bringup. */
async function benchOwn(): Promise<Figures & {packages: readonly string[]}> {
	const cache = join(folder, 'cache');
	await mkdir(cache, {recursive: true});
	for (const part of ['packages', 'apt'])
		await cp(join(userCache, part), join(cache, part), {recursive: true, preserveTimestamps: true}).catch(() => {});
	const [profile, out] = [join(folder, 'peer.yaml'), join(folder, 'bringup')];
	const write = (timezone: string) =>
		writeFile(profile, `schema: 1\nextends: ${resolve('profiles/guest.yaml')}\nidentity: {timezone: ${timezone}}\n`);
	const cli = (command: string, path: string) =>
		['node', 'dist/builder/cli.js', command, '--profile', profile, '--out', path, '--cache', cache] as const;
	await write('Etc/UTC');
	await run(cli('build-iso', `${out}.iso`)); // fetches what is not at hand
	const {packages} = JSON.parse(await readFile(`${out}.manifest.json`, 'utf8')) as {packages: {name: string}[]};
	for (const made of [join(cache, 'base'), join(cache, 'built'), `${out}.iso`])
		await rm(made, {recursive: true, force: true});
	const first = await bakeUnproven(cli('bake', out), `${out}.qcow2`);
	await write('Europe/Berlin');
	const changed = await bakeUnproven(cli('bake', out), `${out}.qcow2`);
	say(`bringup: first ${first.toFixed(0)} s, changed ${changed.toFixed(0)} s`);
	const {size} = await stat(`${out}.qcow2`);
	const login = await bootToLogin('bringup', `${out}.qcow2`);
	return {first, changed, size, login, packages: packages.map(({name}) => name)};
}

/** Has the archive's files kept: those of all packages, which is what every recipe fetches. */
async function fetchAll({MIRROR, SECURITY}: Record<'MIRROR' | 'SECURITY', string>, packages: readonly string[]) {
	const archives = [`${MIRROR} trixie`, `${MIRROR} trixie-updates`, `${SECURITY} trixie-security`];
	const system = ['mmdebstrap', '--variant=custom', `--include=${packages.join(',')}`, 'trixie', '/dev/null'] as const;
	await run([...system, ...archives.map(archive => `deb ${archive} main`)]);
}

/** By a recipe, from packages and what `prepare` has of it, and then from what it keeps. */
async function benchPeer(recipe: string, env: Record<string, string>): Promise<Figures> {
	const name = basename(recipe, '.sh');
	const [OUT, WORK] = [join(folder, `${name}.qcow2`), join(folder, name)];
	const log = join(folder, `${name}.log`);
	const make = async (MOTD: string, ...words: string[]) => {
		await rm(OUT, {force: true});
		const alone = ['unshare', '--mount', '--propagation', 'private'] as const; // its mounts end with it
		await runLong([...alone, 'bash', join(recipes, recipe), ...words], {env: {...env, OUT, WORK, MOTD}, log});
	};
	await make('', 'prepare');
	const first = await time(() => make('first'));
	const changed = await time(() => make('changed'));
	say(`${name}: first ${first.toFixed(0)} s, changed ${changed.toFixed(0)} s`);
	const {size} = await stat(OUT);
	await rm(WORK, {recursive: true});
	return {first, changed, size, login: await bootToLogin(name, OUT)};
}

/** The archive of this workstation's own apt. */
async function findMirror(label: string): Promise<string> {
	const uris = await run(['apt-get', 'indextargets', '--format', '$(REPO_URI)', `Label: ${label}`]);
	const [uri] = uris.split('\n');
	if (!uri) throw new Error(`the apt of this workstation names no archive of ${label}, or has never asked it`);
	return uri.replace(/\/$/, '');
}

/** The program that a recipe runs, and so whether it is here. */
async function isInstalled(recipe: string): Promise<boolean> {
	const program = /^# needs: (\S+)/m.exec(await readFile(join(recipes, recipe), 'utf8'))?.[1] ?? '';
	return run(['which', program]).then(
		() => true,
		() => false,
	);
}

if (process.getuid?.() !== 0) throw new Error('the other makers of images need root: run this as root');
await rm(folder, {recursive: true, force: true});
await mkdir(folder, {recursive: true});
await run(['nginx', '-v']); // it keeps what the peers fetch
const [mirror, security] = await Promise.all([findMirror('Debian'), findMirror('Debian-Security')]);
say(`accelerator: ${await findAccelerator()}`);
const {packages, ...own} = await benchOwn();
const figures: Record<string, Figures> = {bringup: own};
await writeFile(join(folder, 'packages'), `${packages.join('\n')}\n`);
const port = await findPort();
const stopMirror = await startMirror(port, {debian: mirror, security});
const archives = {
	MIRROR: `http://127.0.0.1:${port}/debian`,
	SECURITY: `http://127.0.0.1:${port}/security`,
};
await fetchAll(archives, packages);
const env = {...archives, PACKAGES: join(folder, 'packages')};
for (const recipe of (await readdir(recipes)).filter(name => name.endsWith('.sh')).sort()) {
	const name = basename(recipe, '.sh');
	if (await isInstalled(recipe))
		await benchPeer(recipe, env).then(
			found => {
				figures[name] = found;
			},
			error => {
				process.exitCode = 1;
				say(`${name} failed: ${error.message}; ${join(folder, name)}.log says why`);
			},
		);
	else say(`${name} is not installed, so nothing is said of it`);
}
await stopMirror();

say(`${'image of the same packages'.padEnd(26)}   first  changed    MB   login`);
const rows = Object.entries(figures).map(([name, {first, changed, size, login}]) => {
	const numbers = [first, changed, size / 1e6, login].map(figure => figure.toFixed(0).padStart(8));
	return `${name.padEnd(24)}${numbers.join('')}`;
});
say(rows.join('\n'));
const peers = Object.entries(figures).filter(([name]) => name !== 'bringup');
const ratios = peers.map(([name, peer]) => {
	const ratio = (field: keyof Figures) => Math.round((own[field] / peer[field]) * 100) / 100;
	return [
		`bringup / ${name}`,
		{first: ratio('first'), changed: ratio('changed'), size: ratio('size'), login: ratio('login')},
	];
});
const result = {accelerator: await findAccelerator(), packages: packages.length, figures, ratios};
await writeFile(
	resolve('out/bench-peers.json'),
	`${JSON.stringify({...result, ratios: Object.fromEntries(ratios)}, undefined, '\t')}\n`,
);
say('out/bench-peers.json has them as JSON');
if (process.exitCode === undefined) await rm(folder, {recursive: true});
