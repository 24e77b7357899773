import {mkdir, writeFile} from 'node:fs/promises';
import {join, resolve} from 'node:path';
import {parseArgs} from 'node:util';
import {readLatest} from '../bake/publish.ts';
import {formatJunit, type RebuildOptions, type Rebuilt, rebuildImage} from '../bake/rebuild.ts';
import {prepareOutput} from '../build/build.ts';
import {formatDifference} from '../build/difference.ts';
import {explain} from '../failure.ts';
import {findProfile, listProfiles, loadProfile} from '../profile/profile.ts';
import {makeProgress} from '../progress.ts';
import {renderTree} from '../render/tree.ts';
import {UsageError} from '../run.ts';
import type {CliCommand, Surroundings} from './command.ts';
import {prepareBuild} from './prepare.ts';

/** The profiles of golden images in ./profiles, or among those that are shipped where there is no such folder. */
async function listImages(): Promise<string[]> {
	const names = await listProfiles();
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

type Common = Pick<RebuildOptions, 'folder' | 'keep' | 'ifChanged' | 'date' | 'signing'> & {cache: string | undefined};

async function rebuildOne(name: string, common: Common, quiet: boolean, surroundings: Surroundings): Promise<Rebuilt> {
	const progress = makeProgress(surroundings.err, quiet); // its seconds are of this image alone
	const began = performance.now();
	const seconds = () => Math.round(performance.now() - began) / 1000;
	try {
		const place = {
			default: (profile: {name: string}) => resolve('out', profile.name),
			check: (out: string) => prepareOutput(`${out}.iso`),
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
		const latest = await readLatest(common.folder, name).catch(() => undefined);
		const nothing = {image: latest?.image, reason: undefined, changes: [], removed: []};
		return {profile: name, state: 'failed', ...nothing, seconds: seconds(), error: text};
	}
}

async function writeReport(folder: string, results: readonly Rebuilt[]): Promise<void> {
	await mkdir(folder, {recursive: true});
	await writeFile(join(folder, 'rebuild.json'), `${JSON.stringify(results, undefined, '\t')}\n`);
	await writeFile(join(folder, 'rebuild.xml'), formatJunit(results));
}

export const rebuild: CliCommand = {
	summary: 'make golden images anew and publish them',
	help: `usage: bringup rebuild (--all | --profile NAME...) --publish DIR [--if-changed] [--keep N] [--sign KEY] [--report DIR] [--json]

  --all            every profile with the section image: of ./profiles, or of those shipped where there is no such folder
  --profile NAME   one of them; may be given more than once
  --publish DIR    NAME-YYYYMMDD-DIGEST.* go there, and NAME-latest.* point to them; only what two clones have proven
  --if-changed     leave an image alone that would be made of the same packages, profile and assets
  --keep N         how many of each stay (default: 3)
  --sign KEY       an SSH key: a private one, or the public one of a key that the agent has
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
			...{sign: text, report: text, json: flag, cache: text, quiet: flag},
		} as const;
		const {values} = parseArgs({args: [...argv], options});
		if (Boolean(values.all) === (values.profile !== undefined))
			throw new UsageError('which images? Say --all, or --profile NAME');
		if (values.publish === undefined) throw new UsageError('where to? Say --publish DIR');
		const keep = Number(values.keep ?? 3);
		if (!Number.isSafeInteger(keep) || keep < 1) throw new UsageError('--keep is a whole number, 1 or more');
		const names = values.profile ?? (await listImages());
		if (names.length === 0) throw new UsageError('no profile here has the section image');
		const progress = makeProgress(surroundings.err, values.quiet ?? false);
		const signing = values.sign === undefined ? undefined : {key: resolve(values.sign)};
		const common = {
			folder: resolve(values.publish),
			keep,
			ifChanged: values['if-changed'] ?? false,
			date: new Date(),
			signing,
		};
		const results: Rebuilt[] = [];
		for (const name of names) {
			surroundings.signal.throwIfAborted();
			results.push(await rebuildOne(name, {...common, cache: values.cache}, values.quiet ?? false, surroundings));
			if (values.report !== undefined) await writeReport(resolve(values.report), results);
		}
		if (values.json) surroundings.out.write(`${JSON.stringify(results, undefined, '\t')}\n`);
		for (const {profile, state, image, seconds} of results)
			progress.say(`${profile.padEnd(20)} ${state.padEnd(10)} ${image ?? ''} ${seconds.toFixed(0)} s`);
		return results.some(({state}) => state === 'failed') ? 1 : 0;
	},
};
