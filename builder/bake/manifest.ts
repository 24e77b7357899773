import {readFile} from 'node:fs/promises';
import type {Manifest} from '../build/manifest.ts';
import {parseJson} from '../folder.ts';
import type {Artefact} from './formats.ts';

/** What an image was made from, and what was proven of it; stands beside it as JSON. */
export interface ImageManifest extends Manifest {
	formats: readonly Artefact[];
	/** Of the profile's file. */
	profileDigest: string;
	/** Of all that it was made from, but for the date. */
	recipe: string;
	/** Of its disk, in bytes. */
	virtualSize: number;
	/** What its two clones were seen to be. */
	proof: readonly string[];
	accelerator: string;
}

/** The manifest of an image by the path without its ending; undefined when there is none. */
export async function readImageManifest(stem: string): Promise<ImageManifest | undefined> {
	const text = await readFile(`${stem}.image.json`, 'utf8').catch(() => undefined);
	return text === undefined ? undefined : parseJson<ImageManifest>(text);
}
