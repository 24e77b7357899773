import * as z from 'zod';
import type {Probe, Step} from './phase.ts';

const sha256 = z.string().regex(/^[0-9a-f]{64}$/, 'expected a SHA-256 digest: 64 hexadecimal digits, lower case');

/** A URL as programs take it word by word: what JavaScript would mend, such as a space or a line break, is a fault. */
export const url = (protocol: 'https' | 'https?' | 'https?|file') =>
	z
		.string()
		.refine(text => /^[!-~]*$/.test(text), {
			error: 'expected a URL without spaces, line breaks and letters beyond ASCII',
			abort: true,
		})
		.check(z.url({protocol: new RegExp(`^(${protocol})$`), abort: true}))
		.refine(text => text.includes('://'), 'expected a URL with // after the colon');

/** A file that the machine needs and no Debian package has. The build pins it by its digest and puts it on the medium. */
export const asset = z
	.strictObject({
		asset: z.union([
			z.strictObject({
				file: z.string().min(1).describe('path of a file, relative to the profile'),
				sha256: sha256.optional().describe('its digest; the build fills it in, and refuses another file'),
			}),
			z.strictObject({
				url: url('https?')
					.refine(
						text => URL.canParse(text) && !new URL(text).username && !new URL(text).password,
						'a URL with a password in it would be shown in logs; fetch the file yourself and say asset: {file: …}',
					)
					.describe('where the build fetches it'),
				sha256: sha256.describe('its digest'),
				delivery: z
					.enum(['auto', 'embedded', 'machine'])
					.default('auto')
					.describe(
						'`embedded`: on the medium, or the build fails; `machine`: fetched by the machine at its first boot; `auto`: on the medium when the build can fetch it, else by the machine',
					),
			}),
		]),
	})
	.describe('a file pinned by its digest: `asset: {file: …}` or `asset: {url: …, sha256: …}`');

export type Asset = z.output<typeof asset>;

/** Where assets lie on the machine, named by their digest. */
export const assetsFolder = '/var/lib/bringup/assets';

/** The file of an asset on the machine. */
export function assetPath({asset}: Asset): string {
	if (asset.sha256 === undefined) throw new Error('an asset has no digest; build the medium again');
	return `${assetsFolder}/${asset.sha256}`;
}

/** The steps that bring assets to the machine which the medium did not. */
export async function planAssets(assets: readonly Asset[], probe: Probe): Promise<Step[]> {
	if (assets.length === 0) return [];
	const found = await probe.list(assetsFolder);
	const missing = assets.filter(one => !found?.has(assetPath(one).slice(assetsFolder.length + 1)));
	return missing.map(one => {
		const path = assetPath(one);
		if (!('url' in one.asset)) throw new Error(`${path} (${one.asset.file}) is missing; build the medium again`);
		const {url, sha256} = one.asset;
		return {do: 'fetch', url, sha256, path, mode: 0o644, why: `fetch ${url}, which was not on the medium`};
	});
}
