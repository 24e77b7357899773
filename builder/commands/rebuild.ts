import {basename, join, resolve} from 'node:path';
import {parseArgs} from 'node:util';
import {readPins} from '../bake/pins.ts';
import {checkFolder, readLatest} from '../bake/publish.ts';
import {formatJunit, type RebuildOptions, type Rebuilt, rebuildImage} from '../bake/rebuild.ts';
import {formatDifference} from '../build/difference.ts';
import {prepareImage} from '../build/output.ts';
import {explain} from '../failure.ts';
import {writeWhole} from '../folder.ts';
import {printableJson} from '../printable.ts';
import {findProfile, listOwnProfiles, loadProfile} from '../profile/profile.ts';
import {makeProgress} from '../progress.ts';
import {renderTree} from '../render/tree.ts';
import {checkPrograms, UsageError, withLock} from '../run.ts';
import type {CliCommand, Surroundings} from './command.ts';
import {prepareBuild, readKeys} from './prepare.ts';

/** The profiles of golden images in ./profiles. Not those that are shipped: published under the same names, they would be taken for one's own. */
async function listImages(): Promise<string[]> {
	const names = await listOwnProfiles();
	if (names.length === 0)
		throw new UsageError(
			`there is no profile in ${resolve('profiles')}; go to the folder above your profiles, or say --profile`,
		);
	const images: string[] = [];
	for (const name of names) {
		const profile = await findProfile(name)
			.then(loadProfile)
			.catch(() => undefined);
		// What has a fault is tried, and fails with it: left out, it would go stale in silence.
		if (profile === undefined || profile.fields.image) images.push(name);
	}
	return images;
}

type Common = Pick<RebuildOptions, 'folder' | 'keep' | 'ifChanged' | 'date' | 'keys'> & {cache: string | undefined};

async function rebuildOne(name: string, common: Common, quiet: boolean, surroundings: Surroundings): Promise<Rebuilt> {
	const progress = makeProgress(surroundings.err, quiet); // its seconds are of this image alone
	const began = performance.now();
	const seconds = () => Math.round(performance.now() - began) / 1000;
	try {
		const place = {
			default: (profile: {name: string}) => resolve('out', profile.name),
			check: prepareImage,
		};
		const {profile, out, options} = await prepareBuild(
			{profile: name, refresh: true, cache: common.cache},
			place,
			progress,
			surroundings,
		);
		const result = await rebuildImage(profile, await renderTree(profile), {
			...options,
			...common,
			cache: options.cache,
			out,
		});
		for (const line of formatDifference(result.changes)) progress.say(`  ${line}`);
		return {...result, seconds: seconds()};
	} catch (error) {
		if (surroundings.signal.aborted) throw error;
		const [text] = explain(error);
		progress.say(`${name}: ${text}`);
		return {...(await describeFailed(name, common.folder, text)), seconds: seconds()};
	}
}

/** What is said of an image that was not made: the one before stays. */
async function describeFailed(name: string, folder: string, error: string): Promise<Rebuilt> {
	const profile = basename(name).replace(/\.ya?ml$/, '');
	const latest = await readLatest(folder, profile).catch(() => undefined);
	const nothing = {reason: undefined, changes: [], removed: [], seconds: 0};
	return {...nothing, profile, state: 'failed', image: latest?.image, error};
}

async function writeReport(folder: string, results: readonly Rebuilt[]): Promise<void> {
	await writeWhole(join(folder, 'rebuild.json'), printableJson(results));
	await writeWhole(join(folder, 'rebuild.xml'), formatJunit(results));
}

export const rebuild: CliCommand = {
	summary: 'make golden images anew and publish them',
	help: `usage: bringup rebuild (--all | --profile NAME...) --publish DIR [--if-changed] [--keep N] [--keep-days N]
                       [--pins FILE...] [--sign KEY] [--sign-provenance KEY.pem] [--report DIR] [--json]

  --all            every profile in ./profiles with the section image
  --profile NAME   one of them; may be given more than once
  --publish DIR    a folder that is there: NAME-YYYYMMDD-DIGEST.* go to it, and NAME-latest.* point to them; only what
                   two clones have proven
  --if-changed     leave an image alone that would be made of the same packages, profile and assets
  --keep N         how many of each stay at least (default: 3)
  --keep-days N    images that are not older than so many days stay too (default: 30)
  --pins FILE      a profile, or a folder of profiles; may be given more than once. An image whose digest stands in one of
                   them, or in one of ./profiles, is never removed: machines that are installed from it fetch it
  --sign KEY       an SSH key: a private one, or the public one of a key that the agent has
  --sign-provenance KEY.pem   a private key (ECDSA P-256 or Ed25519) that signs the provenance, as cosign reads it
  --report DIR     rebuild.json and rebuild.xml (JUnit) go there
  --json           the report on standard output

The archive is asked for new package lists. One failure does not stop the others, and leaves the image before as the
latest. Exit code 0: all are as they should be. 1: some failed.
`,
	async run(argv, surroundings) {
		const text = {type: 'string'} as const;
		const flag = {type: 'boolean'} as const;
		const options = {
			...{all: flag, profile: {...text, multiple: true as const}, publish: text, 'if-changed': flag, keep: text},
			...{'keep-days': text, pins: {...text, multiple: true as const}, 'sign-provenance': text},
			...{sign: text, report: text, json: flag, cache: text, quiet: flag},
		} as const;
		const {values} = parseArgs({args: [...argv], options});
		if (Boolean(values.all) === (values.profile !== undefined))
			throw new UsageError('which images? Say --all, or --profile NAME');
		if (values.publish === undefined) throw new UsageError('where to? Say --publish DIR');
		const keep = Number(values.keep ?? 3);
		if (!Number.isSafeInteger(keep) || keep < 1) throw new UsageError('--keep is a whole number, 1 or more');
		const days = Number(values['keep-days'] ?? 30);
		if (!(days >= 0)) throw new UsageError('--keep-days is a number of days');
		const names = values.profile ?? (await listImages());
		if (names.length === 0) throw new UsageError('no profile here has the section image');
		await checkPrograms(['flock', 'setpriv'], surroundings.environment['PATH'] ?? '');
		const progress = makeProgress(surroundings.err, values.quiet ?? false);
		const common = {
			folder: resolve(values.publish),
			keep: {
				newest: keep,
				since: new Date(Date.now() - days * 24 * 3600_000),
				pinned: await readPins(values.pins ?? []),
			},
			ifChanged: values['if-changed'] ?? false,
			date: new Date(),
			keys: readKeys(values.sign, values['sign-provenance']),
		};
		const {folder} = common;
		await checkFolder(folder, undefined);
		const report = values.report === undefined ? undefined : resolve(values.report);
		// All of it from the start: a run that is cut off says of what it did not come to.
		const results = await Promise.all(
			names.map(name => describeFailed(name, folder, 'not tried: the rebuild ended before')),
		);
		let isReported = true;
		const busy = `another rebuild publishes to ${folder} at this moment; wait for it`;
		await withLock(join(folder, '.bringup.lock'), busy, async () => {
			if (report !== undefined) await writeReport(report, results);
			for (const [index, name] of names.entries()) {
				surroundings.signal.throwIfAborted();
				const one = {...common, cache: values.cache};
				results[index] = await rebuildOne(name, one, values.quiet ?? false, surroundings);
				if (report === undefined) continue;
				await writeReport(report, results).catch(error => {
					isReported = false; // the images matter more
					progress.say(`${report}: ${error.message}`);
				});
			}
		});
		if (values.json) surroundings.out.write(printableJson(results));
		for (const {profile, state, image, seconds} of results)
			progress.say(`${profile.padEnd(20)} ${state.padEnd(10)} ${image ?? ''} ${seconds.toFixed(0)} s`);
		return isReported && results.every(({state}) => state !== 'failed') ? 0 : 1;
	},
};
