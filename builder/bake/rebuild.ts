import {type Difference, listDifference} from '../build/difference.ts';
import {printable} from '../printable.ts';
import type {CompleteProfile} from '../profile/complete.ts';
import type {FileTree} from '../render/tree.ts';
import {type BakeOptions, bakeImage} from './bake.ts';
import {readCves} from './cves.ts';
import {type ImageManifest, readImageManifest} from './manifest.ts';
import {checkFolder, isWhole, type Keep, publishImage, readLatest, removeOld, repairPointers} from './publish.ts';
import {type Recipe, readRecipe} from './recipe.ts';

/** A package that a rebuild brought to another version. */
export type Change = Difference & {
	/** Which vulnerabilities the new version mends; undefined where its changelog does not reach back to the old one. */
	cves: readonly string[] | undefined;
};

/** What came of one image. */
export interface Rebuilt {
	profile: string;
	state: 'unchanged' | 'published' | 'failed';
	/** What the names of its files begin with; of a failure, the image before, which is still the latest. */
	image: string | undefined;
	/** Why it was made anew. */
	reason: string | undefined;
	changes: readonly Change[];
	/** Older images that were removed. */
	removed: readonly string[];
	seconds: number;
	error: string | undefined;
}

export interface RebuildOptions extends BakeOptions {
	/** Where images are published to. */
	folder: string;
	/** Which older ones stay. */
	keep: Keep;
	ifChanged: boolean;
	date: Date;
}

/** Why an image must be made anew; undefined when the published one is what would come out. */
function findReason(
	latest: ImageManifest | undefined,
	whole: boolean,
	recipe: Recipe,
	differences: readonly Difference[],
): string | undefined {
	if (!latest) return 'none is published';
	if (differences.length > 0) return `${differences.length} packages changed`;
	if (latest.recipe !== recipe.digest) return 'the profile, its assets or bringup changed';
	return whole ? undefined : 'of the published one a file is missing or damaged, or it is not signed by this key';
}

/** Bakes and publishes one image, where it would be another than the published one. */
export async function rebuildImage(
	profile: CompleteProfile,
	tree: FileTree,
	options: RebuildOptions,
): Promise<Omit<Rebuilt, 'seconds'>> {
	const {folder, keep, ifChanged, date, out, progress, cache, keys} = options;
	const {name} = profile;
	const latest = await readLatest(folder, name);
	await checkFolder(folder, latest);
	const recipe = await readRecipe(profile, tree, options);
	const differences = latest ? listDifference(latest.manifest.packages, recipe.packages) : [];
	const whole = latest !== undefined && (await isWhole(folder, latest, keys));
	const found = findReason(latest?.manifest, whole, recipe, differences);
	// That older ones cannot be removed does not make the new one a failure.
	const prune = () =>
		removeOld(folder, name, keep).catch((error: Error) => {
			progress.say(`${name}: older images stay: ${error.message}`);
			return [];
		});
	if (latest && ifChanged && found === undefined) {
		await repairPointers(folder, latest);
		const nothing = {reason: undefined, changes: [], error: undefined};
		return {...nothing, profile: name, state: 'unchanged', image: latest.image, removed: await prune()};
	}
	const reason = found ?? 'asked for';
	progress.say(`${name}: ${reason}`);
	await bakeImage(profile, tree, {...options, refresh: false});
	const manifest = await readImageManifest(out);
	if (!manifest) throw new Error(`${out} has no manifest right after it was baked`);
	const cves = await readCves(differences, recipe.packages, cache);
	const changes = differences.map(change => ({...change, cves: cves.get(change.name)}));
	const image = await publishImage(out, manifest, {folder, date, keys});
	return {profile: name, state: 'published', image, reason, changes, removed: await prune(), error: undefined};
}

const escapeXml = (text: string) =>
	printable(text)
		.replace(/[&<>"]/g, mark => `&#${mark.charCodeAt(0)};`)
		.replace(/[^\t\n -\ud7ff\ue000-\ufffd]/g, '?');

/** The report in the form that CI systems show (JUnit's XML). */
export function formatJunit(results: readonly Rebuilt[]): string {
	const cases = results.map(({profile, state, seconds, error, reason, image}) => {
		const inner =
			state === 'failed'
				? `\n\t\t<failure message="${escapeXml((error ?? '').split('\n')[0] ?? '')}">${escapeXml(error ?? '')}</failure>\n\t`
				: `\n\t\t<system-out>${escapeXml(`${state}: ${image ?? ''}${reason ? ` (${reason})` : ''}`)}</system-out>\n\t`;
		return `\t<testcase classname="bringup.rebuild" name="${escapeXml(profile)}" time="${seconds}">${inner}</testcase>\n`;
	});
	const failures = results.filter(({state}) => state === 'failed').length;
	const head = `<testsuite name="bringup rebuild" tests="${results.length}" failures="${failures}">`;
	return `<?xml version="1.0" encoding="UTF-8"?>\n${head}\n${cases.join('')}</testsuite>\n`;
}
