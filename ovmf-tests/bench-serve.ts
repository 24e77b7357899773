import {mkdir, open, rm, writeFile} from 'node:fs/promises';
import {join, resolve} from 'node:path';
import {run} from '../builder/run.ts';
import {startServer} from '../builder/serve/server.ts';
import {findPort} from './vm.ts';

const size = 32 * 2 ** 20;
const machines = 200;

/** Seconds until as many machines as there are have fetched the same file, all at once. One curl is all of them. */
async function fetchAll(port: number): Promise<number> {
	const urls = Array.from({length: machines}, () => `url = "http://127.0.0.1:${port}/layer"\noutput = "/dev/null"\n`);
	const since = performance.now();
	const command = ['curl', '--silent', '--show-error', '--fail', '--parallel', '--parallel-immediate'] as const;
	await run([...command, '--parallel-max', String(machines), '--config', '-'], {input: urls.join('')});
	return (performance.now() - since) / 1000;
}

async function waitFor(port: number): Promise<void> {
	await run([
		'curl',
		'--silent',
		'--fail',
		'--retry',
		'20',
		'--retry-connrefused',
		'--retry-delay',
		'1',
		'--head',
		`http://127.0.0.1:${port}/layer`,
	]);
}

async function withNginx<T>(folder: string, port: number, use: () => Promise<T>): Promise<T> {
	const configuration = join(folder, 'nginx.conf');
	await writeFile(
		configuration,
		[
			'user root;',
			'worker_processes auto;',
			`pid ${folder}/nginx.pid;`,
			`error_log ${folder}/nginx.log;`,
			'events { worker_connections 2048; }',
			`http { access_log off; sendfile on; server { listen 127.0.0.1:${port}; root ${folder}/tree; } }`,
		].join('\n'),
	);
	const nginx = ['nginx', '-c', configuration, '-e', join(folder, 'nginx.log')] as const;
	await run(nginx);
	try {
		await waitFor(port);
		return await use();
	} finally {
		await run([...nginx, '-s', 'quit']);
	}
}

/** Seconds of each run, and by how much the server of `bringup serve` is slower, run by run. */
export interface Compared {
	serve: number[];
	nginx: number[] | undefined;
	ratios: number[] | undefined;
}

const rounds = 9;

/**
 * How fast the server of `bringup serve` is: 6.7 GB for two hundred machines, beside nginx with the same file. The two
 * take turns, and the first round of each is not counted, so that what else this workstation does meets both.
 */
export async function benchServe(): Promise<Compared> {
	const folder = resolve('out/bench-serve');
	await rm(folder, {recursive: true, force: true});
	await mkdir(join(folder, 'tree'), {recursive: true});
	const file = join(folder, 'tree/layer');
	await writeFile(file, Buffer.alloc(size, 'layer'));
	const handle = await open(file);
	const [port, other] = [await findPort(), await findPort()];
	const options = {find: async () => ({handle, size}), take: async () => false, onFault: () => {}};
	const server = await startServer('127.0.0.1', port, options);
	const measure = async (ports: readonly number[]) => {
		const all: number[][] = [];
		for (let round = 0; round <= rounds; round++) {
			const times: number[] = [];
			for (const one of ports) times.push(await fetchAll(one));
			if (round > 0) all.push(times);
		}
		return all;
	};
	try {
		const installed = await run(['nginx', '-v']).then(
			() => true,
			() => false,
		);
		const all = installed ? await withNginx(folder, other, () => measure([port, other])) : await measure([port]);
		const serve = all.map(([first = 0]) => first);
		if (!installed) return {serve, nginx: undefined, ratios: undefined};
		const ratios = all.map(([first = 0, second = 0]) => first / second);
		return {serve, nginx: all.map(([, second = 0]) => second), ratios};
	} finally {
		server.close();
		await handle.close();
		await rm(folder, {recursive: true});
	}
}
