import {readFile, rename, rm} from 'node:fs/promises';
import {basename, dirname, join} from 'node:path';
import {digestFile} from '../build/cache.ts';
import type {Manifest} from '../build/manifest.ts';
import {parseJson, withFolder} from '../folder.ts';
import type {CompleteProfile} from '../profile/complete.ts';
import {UserError} from '../run.ts';
import {attest, endings, type Keys} from './attest.ts';
import {listOthers} from './contents.ts';
import {makeStatement} from './provenance.ts';
import {makeSbom} from './sbom.ts';

/** Whether the digests next to an ISO are of this very one. */
export async function isAttested(iso: string): Promise<boolean> {
	const text = await readFile(`${iso}${endings.sums}`, 'utf8').catch(() => '');
	const manifest = parseJson<Manifest>(await readFile(manifestOf(iso), 'utf8').catch(() => ''));
	return manifest !== undefined && text.startsWith(`${manifest.sha256}  ${basename(iso)}\n`);
}

const manifestOf = (iso: string) => `${iso.replace(/\.iso$/, '')}.manifest.json`;

/** Writes SBOM, provenance and the digests of all files next to an ISO that stands in its place, and signs them, as next to an image. */
export async function attestIso(iso: string, profile: CompleteProfile, keys: Keys): Promise<void> {
	const path = manifestOf(iso);
	const manifest = parseJson<Manifest>(await readFile(path, 'utf8'));
	const sha256 = await digestFile(iso);
	if (manifest?.sha256 !== sha256) throw new UserError(`${iso} is not what ${path} says; remove both and build again`);
	const {release, epoch, packages} = manifest;
	const listed = packages.map(one => ({architecture: 'amd64', ...one}));
	const name = basename(iso);
	const sbom = makeSbom(listed, await listOthers(profile.fields, manifest), {name, sha256, release, epoch});
	const subjects = [{name, sha256}];
	const profileDigest = await digestFile(profile.path);
	const statement = makeStatement(manifest, {subjects, kind: 'iso', profileDigest, parameters: {}});
	await withFolder(dirname(iso), async work => {
		const made = await attest({stem: join(work, name), files: subjects, manifest: {path}, sbom, statement, keys});
		const fresh = made.filter(file => dirname(file) === work && basename(file) !== name);
		for (const ending of Object.values(endings)) await rm(`${iso}${ending}`, {force: true});
		for (const file of fresh) await rename(file, join(dirname(iso), basename(file)));
	});
}
