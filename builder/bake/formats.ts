import {rm, stat, writeFile} from 'node:fs/promises';
import {basename, dirname} from 'node:path';
import type {Image} from '../../firstboot/sequence.ts';
import {digestFile} from '../build/cache.ts';
import type {Update} from '../progress.ts';
import {runLong} from '../run.ts';
import {formatOvf, type Hardware} from './ovf.ts';

/** One file of an image. */
export interface Artefact {
	format: Image['formats'][number];
	/** Its name, beside the manifest. */
	file: string;
	sha256: string;
	/** In bytes. */
	size: number;
}

/** How qemu-img writes each (qemu-img(1)); streamOptimized is what OVF takes. */
const conversions = {
	qcow2: ['-c', '-O', 'qcow2', '-o', 'compression_type=zstd'],
	raw: ['-O', 'raw'],
	vmdk: ['-O', 'vmdk', '-o', 'subformat=streamOptimized'],
	vhdx: ['-O', 'vhdx', '-o', 'subformat=dynamic'],
} as const;

type Format = keyof typeof conversions;

async function convert(disk: string, format: Format, path: string, signal: AbortSignal): Promise<void> {
	await runLong(['qemu-img', 'convert', '-f', 'raw', ...conversions[format], disk, path], {signal});
	// Of the formats one alone is booted.
	await runLong(['qemu-img', 'compare', '-q', '-f', 'raw', '-F', format, disk, path], {signal});
}

/** An appliance: the description first, then its disk (OVF 1.1, DSP0243). */
async function makeOva(disk: string, path: string, hardware: Hardware, signal: AbortSignal): Promise<void> {
	const stem = path.replace(/\.ova$/, '');
	const [description, vmdk] = [`${stem}.ovf`, `${stem}-disk1.vmdk`];
	await convert(disk, 'vmdk', vmdk, signal);
	const sizes = {packed: (await stat(vmdk)).size, disk: (await stat(disk)).size};
	await writeFile(description, formatOvf(basename(stem), basename(vmdk), sizes, hardware));
	const owner = ['--owner=0', '--group=0', '--numeric-owner', '--mode=0644'];
	const members = [basename(description), basename(vmdk)];
	await runLong(['tar', '--create', '--format=ustar', ...owner, '--file', path, '-C', dirname(path), ...members]);
	await Promise.all([description, vmdk].map(file => rm(file)));
}

/** Makes every format that the profile asks for of a raw disk; at least one. */
export async function makeFormats(
	{formats}: Image,
	disk: string,
	stem: string,
	{update, signal, hardware}: {update: Update; signal: AbortSignal; hardware: Hardware},
): Promise<[Artefact, ...Artefact[]]> {
	const made: Artefact[] = [];
	for (const format of new Set(formats)) {
		const path = `${stem}.${format}`;
		await (format === 'ova' ? makeOva(disk, path, hardware, signal) : convert(disk, format, path, signal));
		const {size} = await stat(path);
		made.push({format, file: basename(path), sha256: await digestFile(path), size});
		update(
			made.map(({file, size}) => `${file} ${(size / 1e6).toFixed(0)} MB`).join(', '),
			made.length / formats.length,
		);
	}
	return made as [Artefact, ...Artefact[]];
}
