/** `npm run bench`: how long builds take, side by side with what they cannot be faster than; with `-- --machine` also a boot with nothing to do, beside Ansible. JSON to out/bench.json, a table to the screen. */
import {cp, mkdir, readFile, rm, writeFile} from 'node:fs/promises';
import {homedir} from 'node:os';
import {join, resolve} from 'node:path';
import {run} from '../builder/run.ts';
import {benchMachine, median} from './bench-machine.ts';
import {benchServe} from './bench-serve.ts';

const folder = resolve('out/bench');
const cache = join(folder, 'cache');
const iso = join(folder, 'bench.iso');
const profile = join(folder, 'bench.yaml');
const cli = 'dist/builder/cli.js';

async function time(work: () => Promise<unknown>): Promise<number> {
	const since = performance.now();
	await work();
	return (performance.now() - since) / 1000;
}

/** The median of several runs, in seconds. */
async function timeMedian(times: number, work: (round: number) => Promise<unknown>): Promise<number> {
	const all: number[] = [];
	for (let round = 0; round < times; round++) all.push(await time(() => work(round)));
	return median(all);
}

const key = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEgcppmhmnOuvEPs/uZFLWyxgq4z5jb03cyQg9Iyc7jY bench';

/** A profile with another text in it. */
async function writeProfile(hostname: string, base = 'ovmf-tests/profiles/small.yaml'): Promise<void> {
	const own = `schema: 1\nextends: ${resolve(base)}\nidentity: {hostname: ${hostname}, users: [{name: admin, sshKeys: [${key}]}]}\n`;
	await writeFile(profile, own);
}

const build = () => run(['node', cli, 'build-iso', '--profile', profile, '--out', iso, '--cache', cache, '--quiet']);

/** Takes packages and lists from the user's cache where they are, so that a download is not what is measured. */
async function prepare(): Promise<void> {
	await rm(folder, {recursive: true, force: true});
	await mkdir(cache, {recursive: true});
	const own = join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'bringup');
	for (const part of ['packages', 'apt']) {
		await cp(join(own, part), join(cache, part), {recursive: true, preserveTimestamps: true}).catch(() => {});
	}
	await writeProfile('bench');
	await build();
	await rm(join(cache, 'base'), {recursive: true});
}

await prepare();
const figures: Record<string, number> = {};
const say = (line: string) => process.stdout.write(`${line}\n`);
const measure = async (name: string, seconds: Promise<number>) => {
	figures[name] = Math.round((await seconds) * 1000) / 1000;
	say(`${name.padEnd(48)} ${figures[name].toFixed(2).padStart(8)} s`);
};

await measure('first build, packages at hand', time(build));
await measure(
	'rebuild, text changed',
	timeMedian(3, async round => {
		await writeProfile(`bench-${round}`);
		await build();
	}),
);
await measure(
	'cp of the ISO',
	timeMedian(3, () => run(['cp', iso, join(folder, 'copy.iso')])),
);
await measure('rebuild, nothing changed', timeMedian(5, build));
// The shipped profile: it has assets, whose host may not answer where this runs, and units that podman reads.
const shipped = 'profiles/node.yaml';
await writeProfile('shipped', shipped);
await measure('the shipped node, first build', time(build));
await measure('the shipped node, nothing changed', timeMedian(5, build));
await measure(
	'the shipped node, text changed',
	timeMedian(3, async round => {
		await writeProfile(`shipped-${round}`, shipped);
		await build();
	}),
);
await measure(
	'render, whole process',
	timeMedian(5, () => run(['node', cli, 'render', '--profile', profile])),
);
await measure(
	'node, empty program',
	timeMedian(5, () => run(['node', '--eval', '0'])),
);

const spread = (all: readonly number[]) => `${Math.min(...all).toFixed(2)} to ${Math.max(...all).toFixed(2)}`;
const {serve, nginx, ratios: beside} = await benchServe();
await measure('two hundred machines fetch 32 MiB from serve', Promise.resolve(median(serve)));
say(`  median of ${serve.length}, ${spread(serve)} s`);
if (nginx === undefined || beside === undefined)
	say('nginx is not installed, so nothing is said of it (apt-get install nginx-light)');
else {
	await measure('the same from nginx', Promise.resolve(median(nginx)));
	say(`  median of ${nginx.length}, ${spread(nginx)} s`);
	figures['serve: times of nginx'] = Math.round(median(beside) * 1000) / 1000;
	say(`serve takes ${median(beside).toFixed(2)} times as long: median of ${beside.length} pairs, ${spread(beside)}`);
}

if (process.argv.includes('--machine')) {
	const {noop, plain, node, playbook} = await benchMachine();
	const rows = {
		'on the machine: node, empty program': node,
		'on the machine: nothing to do, all phases': noop,
		'the same without a snapshot': plain,
		'on the machine: ansible-playbook, nothing to do': playbook,
	};
	for (const [name, seconds] of Object.entries(rows)) await measure(name, Promise.resolve(seconds));
	await measure("on the machine: all phases beside Node's start", Promise.resolve(noop - node));
}

const ratio = (a: string, b: string) => Math.round(((figures[a] ?? 0) / (figures[b] ?? 1)) * 100) / 100;
const ratios = {
	'text changed / cp': ratio('rebuild, text changed', 'cp of the ISO'),
	...(nginx !== undefined && {
		'serve / nginx': ratio('two hundred machines fetch 32 MiB from serve', 'the same from nginx'),
	}),
	'render / empty program': ratio('render, whole process', 'node, empty program'),
	...('on the machine: nothing to do, all phases' in figures && {
		'ansible-playbook / all phases': ratio(
			'on the machine: ansible-playbook, nothing to do',
			'on the machine: nothing to do, all phases',
		),
	}),
};
for (const [name, value] of Object.entries(ratios)) say(`${name.padEnd(48)} ${value.toFixed(2).padStart(8)}`);
const {size} = JSON.parse(await readFile(join(folder, 'bench.manifest.json'), 'utf8')) as {size: number};
await writeFile(
	resolve('out/bench.json'),
	`${JSON.stringify({isoBytes: size, seconds: figures, ratios}, undefined, '\t')}\n`,
);
say('out/bench.json has them as JSON');
await rm(folder, {recursive: true});
