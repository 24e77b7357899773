import {createHash} from 'node:crypto';
import {mkdir, readdir, readFile, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {buffer} from 'node:stream/consumers';
import {pack} from 'tar-stream';
import {run} from '../builder/run.ts';

const sha256 = (data: Buffer) => createHash('sha256').update(data).digest('hex');
const mtime = new Date(0);

async function packFiles(files: readonly [name: string, content: Buffer | string, mode?: number][]): Promise<Buffer> {
	const archive = pack();
	for (const [name, content, mode = 0o644] of files) {
		if (name.endsWith('/')) archive.entry({name, type: 'directory', mode: 0o755, mtime});
		else archive.entry({name, mode, mtime}, content);
	}
	archive.finalize();
	return buffer(archive);
}

/** A docker-archive with one layer: busybox, which serves one page on port 80. The same inputs, the same bytes. */
export async function packWebImage(busybox: Buffer, page: string, reference: string): Promise<Buffer> {
	// Each folder has an entry of its own, or podman system check takes the layer for damaged.
	const layer = await packFiles([
		['bin/', ''],
		['bin/busybox', busybox, 0o755],
		['www/', ''],
		['www/index.html', page],
	]);
	const config = Buffer.from(
		JSON.stringify({
			architecture: 'amd64',
			os: 'linux',
			created: mtime.toISOString(),
			config: {
				Entrypoint: ['/bin/busybox'],
				Cmd: ['httpd', '-f', '-p', '80', '-h', '/www'],
				StopSignal: 'SIGKILL', // the first process of a container gets no signal that it has no handler for
			},
			rootfs: {type: 'layers', diff_ids: [`sha256:${sha256(layer)}`]},
			history: [{created: mtime.toISOString(), created_by: 'bringup'}],
		}),
	);
	const names = {config: `${sha256(config)}.json`, layer: `${sha256(layer)}.tar`};
	const manifest = [{Config: names.config, RepoTags: [reference], Layers: [names.layer]}];
	return packFiles([
		[names.config, config],
		[names.layer, layer],
		['manifest.json', JSON.stringify(manifest)],
	]);
}

/** Debian's statically linked busybox, by the workstation's own apt. */
export async function fetchBusybox(work: string): Promise<Buffer> {
	await rm(work, {recursive: true, force: true});
	await mkdir(work, {recursive: true});
	await run(['apt-get', 'download', '--quiet', '-o', 'APT::Sandbox::User=', 'busybox-static'], {cwd: work});
	const [deb = ''] = await readdir(work);
	await run(['dpkg-deb', '--extract', join(work, deb), join(work, 'root')]);
	const root = join(work, 'root');
	const programs = await Promise.all(
		['usr/bin/busybox', 'bin/busybox'].map(name => readFile(join(root, name)).catch(() => undefined)),
	);
	const busybox = programs.find(program => program !== undefined);
	if (!busybox) throw new Error(`${deb} holds no busybox`);
	await rm(work, {recursive: true});
	return busybox;
}

/** Writes the archive of a web server made of nothing but busybox. */
export async function makeWebImage(path: string, page: string, reference: string): Promise<void> {
	await writeFile(path, await packWebImage(await fetchBusybox(`${path}.work`), page, reference));
}
