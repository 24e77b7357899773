import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import type {DiskOptions} from '../builder/boot/qemu.ts';
import {run, start} from '../builder/run.ts';

/**
 * A raw disk whose write cache is lost when the power is cut: nbdkit's cache filter keeps what is written, and gives it to
 * the file when the guest flushes (nbdkit-cache-filter(1), cache=writeback).
 */
export interface LossyDisk {
	/** For QEMU. */
	disk: DiskOptions;
	/** Cuts its power: what was not flushed is gone. */
	cut(): Promise<void>;
}

/** Gives a raw file to QEMU as a disk that loses its write cache. */
export async function openLossyDisk(disk: Omit<DiskOptions, 'format'>): Promise<LossyDisk> {
	const folder = await mkdtemp(join(tmpdir(), 'bringup-disk-'));
	const socket = join(folder, 'nbd');
	const server = start([
		...(['nbdkit', '--foreground', '--exit-with-parent', '--unix', socket] as const),
		...['--filter=cache', 'file', disk.path, 'cache=writeback'],
	]);
	let ended: string | undefined;
	server.ended.then(({output}) => {
		ended = output;
	});
	const path = `nbd+unix:///?socket=${socket}`;
	for (let tries = 0; ; tries++) {
		const there = await run(['qemu-img', 'info', '--image-opts', `driver=nbd,path=${socket}`]).then(
			() => true,
			() => false,
		);
		if (there) break;
		if (ended !== undefined || tries === 100) throw new Error(`nbdkit does not serve ${disk.path}: ${ended ?? ''}`);
		await sleep(100);
	}
	return {
		disk: {...disk, path, format: 'raw'},
		async cut() {
			server.kill('SIGKILL');
			await server.ended;
			await rm(folder, {recursive: true, force: true});
		},
	};
}

/** The first bytes of a raw file at an offset, in hexadecimal digits. */
const bytesAt = async (path: string, offset: number) =>
	(await run(['od', '-An', '-tx1', '-N4', '-j', String(offset), path])).trim();

/** Shows that such a disk keeps what was flushed and loses what was not. Throws when it does not. */
export async function proveLossy(folder: string): Promise<void> {
	const path = join(folder, 'proof.raw');
	await rm(path, {force: true});
	await run(['qemu-img', 'create', '-q', '-f', 'raw', path, '16M']);
	const lossy = await openLossyDisk({path, bus: 'virtio', serial: 'PROOF'});
	const commands = ['write -P 0xaa 0 4k', 'flush', 'write -P 0xbb 1M 4k', 'abort'].flatMap(text => ['-c', text]);
	// It ends as a machine does whose power is cut: without the flush of an orderly end.
	await run(['qemu-io', '-t', 'writeback', '-f', 'raw', ...commands, lossy.disk.path]).catch(() => {});
	await lossy.cut();
	const found = [await bytesAt(path, 0), await bytesAt(path, 2 ** 20)].join(', ');
	await rm(path, {force: true});
	if (found !== 'aa aa aa aa, 00 00 00 00')
		throw new Error(`the disk of these tests does not lose what was not flushed: found ${found}`);
}
