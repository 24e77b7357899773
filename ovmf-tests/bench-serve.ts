import {mkdir, rm, writeFile} from 'node:fs/promises';
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

/** How fast the server of `bringup serve` is: 6.7 GB for two hundred machines, beside nginx with the same file. Seconds, the shorter of two. */
export async function benchServe(): Promise<{serve: number; nginx: number | undefined}> {
	const folder = resolve('out/bench-serve');
	await rm(folder, {recursive: true, force: true});
	await mkdir(join(folder, 'tree'), {recursive: true});
	const file = join(folder, 'tree/layer');
	await writeFile(file, Buffer.alloc(size, 'layer'));
	const twice = async (port: number) => Math.min(await fetchAll(port), await fetchAll(port));
	try {
		const port = await findPort();
		const server = await startServer('127.0.0.1', port, {
			find: async () => ({file, size}),
			take: async () => false,
			onFault: () => {},
		});
		const serve = await twice(port).finally(() => server.close());
		const installed = await run(['nginx', '-v']).then(
			() => true,
			() => false,
		);
		const other = await findPort();
		return {serve, nginx: installed ? await withNginx(folder, other, () => twice(other)) : undefined};
	} finally {
		await rm(folder, {recursive: true});
	}
}
