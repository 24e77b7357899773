import {buildBundle} from '../build/bundle.ts';
import {digestOf} from '../build/cache.ts';
import {digestCode, readMaker} from '../build/maker.ts';
import type {Package} from '../build/packages.ts';
import {type PartsOptions, resolveBase} from '../build/parts.ts';
import type {CompleteProfile} from '../profile/complete.ts';
import {type FileTree, folders} from '../render/tree.ts';

/** All that a golden image of a profile depends on, but for the date; known without making anything. */
export interface Recipe {
	/** The same ingredients, the same digest. */
	digest: string;
	packages: Package[];
}

/** Reads what an image would be made from now. */
export async function readRecipe(profile: CompleteProfile, tree: FileTree, options: PartsOptions): Promise<Recipe> {
	const {names, packages} = await resolveBase(profile, options);
	const contents = packages.map(({file, sha256}) => `${file} ${sha256}`).sort();
	const onMedium = [folders.chroot, folders.binary, folders.hooks];
	const files = [...tree].filter(([path]) => onMedium.some(folder => path.startsWith(folder)));
	const assets = options.assets.map(({sha256}) => sha256).sort();
	const {image, machine} = profile.fields;
	const code = await digestCode(['bake', 'boot']);
	const parts = [names, contents, files, await buildBundle(), assets, image, machine, await readMaker(), code];
	return {digest: digestOf(parts), packages};
}
