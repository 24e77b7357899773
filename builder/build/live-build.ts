import {chmod, mkdir, readFile, rm, stat} from 'node:fs/promises';
import {basename, dirname, join} from 'node:path';
import {withFolder} from '../folder.ts';
import type {CompleteProfile} from '../profile/complete.ts';
import {ProfileError} from '../profile/faults.ts';
import {placeFacts} from '../profile/profile.ts';
import {type FileTree, folders, writeTree} from '../render/tree.ts';
import {checkPrograms, run, runLong, UserError} from '../run.ts';
import {fetchAssets, makeAssetLayer, tellLeft} from './assets.ts';
import {type BuildOptions, placeIso} from './build.ts';
import {buildBundle} from './bundle.ts';
import {digestFile, digestOf} from './cache.ts';
import {buildLayer} from './layer.ts';
import {openIndex} from './lists.ts';
import {readMaker, readTools} from './maker.ts';
import type {Manifest} from './manifest.ts';
import {listTopLayer} from './medium.ts';
import {logPath, withOutput} from './output.ts';
import {checkPackages} from './packages.ts';

/** Where lb puts what it made, in its folder. */
const result = 'live-image-amd64.hybrid.iso';

/** The whole configuration: the rendered tree, and beside lb's own image the layers that are this profile's alone. */
function completeTree(tree: FileTree, buildId: string): FileTree {
	const menu = {content: `set build=${buildId}\nset folder=/live\nset layers=live-media-path=live\n`, mode: 0o644};
	return new Map([...tree, [`${folders.binary}boot/grub/build.cfg`, menu]]);
}

/** lb exits with 0 also where a later step of its own has written over a file of ours: what is on the medium is looked at. */
async function checkMedium(iso: string, tree: FileTree, work: string): Promise<void> {
	// lb's own step for EFI writes the other menu: it leads to this one.
	const wanted = [...tree].filter(([path]) => path.startsWith(folders.binary) && !path.includes('x86_64-efi'));
	for (const [path, {content}] of wanted) {
		const at = path.slice(folders.binary.length);
		const copy = join(work, 'copy');
		await run(['xorriso', '-osirrox', 'on', '-indev', iso, '-extract', `/${at}`, copy]);
		if ((await readFile(copy, 'utf8')) !== content)
			throw new UserError(`live-build has put another ${at} on the medium than the tree has; see its log`);
		await chmod(copy, 0o600);
		await rm(copy);
	}
	const listed = await run(['xorriso', '-indev', iso, '-find', '/live', '-exec', 'echo']);
	for (const name of ['vmlinuz', 'initrd.img', 'filesystem.squashfs', 'profile.squashfs'])
		if (!listed.includes(`'/live/${name}'`))
			throw new UserError(`live-build has put no live/${name} on the medium; see its log`);
	const records = await run(['xorriso', '-indev', iso, '-report_el_torito', 'plain']);
	for (const platform of ['BIOS', 'UEFI'])
		if (!new RegExp(`El Torito boot img :.*${platform}`).test(records))
			throw new UserError(`live-build has made a medium that does not boot with ${platform}; see its log`);
}

/** What is in lb's image, by its own list of that moment: later it takes packages from its folder that only the medium needed. */
async function readInstalled(work: string): Promise<Manifest['packages']> {
	const lines = (await readFile(join(work, 'chroot.packages.live'), 'utf8')).split('\n').filter(Boolean);
	return lines.map(line => {
		const [name = '', version = ''] = line.split('\t');
		return {name: name.replace(/:.*/, ''), version};
	});
}

/**
 * Makes the installer ISO of a profile with Debian's own live-build. It takes minutes each time: lb keeps nothing that
 * could be told to be still right. Throws a UserError unless run as root.
 */
export async function buildWithLiveBuild(
	profile: CompleteProfile,
	tree: FileTree,
	options: BuildOptions,
): Promise<{buildId: string; made: boolean}> {
	const {iso, searchPath} = options;
	if (process.getuid?.() !== 0)
		throw new UserError(
			'live-build works as root only: run this with sudo, or leave --engine out, which needs no root',
		);
	await checkPrograms(['lb', 'debootstrap', 'unshare', 'setpriv', 'mksquashfs', 'xorriso'], searchPath);
	const {debian} = profile.fields;
	if (Object.keys(debian.archives).length > 0 || debian.lock !== undefined)
		throw new UserError(
			'live-build takes what Debian’s archive has now; debian.archives and debian.lock need --engine own',
		);
	if ([debian.mirror, debian.securityMirror].some(mirror => new URL(mirror).username !== ''))
		throw new UserError(
			'live-build would show the password of the mirror to everybody; name one without (debian.mirror), or leave --engine out',
		);
	if (/[^\w./+@:,=~-]/.test(iso))
		throw new UserError(`live-build does not work below ${dirname(iso)}: name a place without a space with --out`);
	return withOutput(iso, options, () => runLiveBuild(profile, tree, options));
}

async function runLiveBuild(
	profile: CompleteProfile,
	tree: FileTree,
	options: BuildOptions,
): Promise<{buildId: string; made: boolean}> {
	const {iso, progress, signal, secrets, cache, mac, refresh} = options;
	const {debian} = profile.fields;
	const log = logPath(iso);
	const index = await openIndex(debian, {cache, mac, refresh, say: progress.say, signal});
	const faults = await checkPackages(index, debian.packages);
	if (faults.length > 0) throw new ProfileError(placeFacts(faults, profile.source));
	const epoch = options.epoch ?? index.epoch;
	const given = {...options, proxy: debian.proxy, locked: debian.lock !== undefined, say: progress.say};
	const assets = await makeAssetLayer(options.assets, await fetchAssets(options.assets, given), epoch, given);
	tellLeft(assets, progress.say);
	if (!(await assets.verify())) {
		await assets.discard();
		throw new UserError('the assets in the cache were damaged, and are removed; run this again');
	}
	const top = listTopLayer(tree, await buildBundle(), secrets, [
		'live-build',
		index.digest,
		assets.embedded,
		await readMaker(),
	]);
	const whole = completeTree(tree, top.buildId);
	await withFolder(dirname(iso), async own => {
		// Nobody else looks into the folder above: there are secrets in it, as files that lb makes.
		const work = join(own, 'tree');
		await mkdir(work, {mode: 0o755});
		await writeTree(whole, work);
		const live = join(work, folders.binary, 'live');
		await mkdir(live, {recursive: true});
		// By name they come after filesystem.squashfs, and so lie above it.
		if (assets.layer !== undefined)
			await runLong(['cp', '--reflink=auto', assets.layer, join(live, 'profile-assets.squashfs')]);
		await buildLayer(top.files, join(live, 'profile.squashfs'), epoch);
		const env = {SOURCE_DATE_EPOCH: String(epoch), ...(debian.proxy === undefined ? {} : {http_proxy: debian.proxy})};
		await runLong(['lb', 'config'], {cwd: work, log, env, signal});
		await progress.stage('live-build', async update => {
			const onLine = (line: string) => {
				const stage = /^\[.*\] (lb \S+)/.exec(line)?.[1];
				if (stage) update(stage);
			};
			// What it mounts is seen by nobody else, and goes with it.
			const alone = ['unshare', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc'] as const;
			await runLong([...alone, 'lb', 'build'], {cwd: work, log, env, onLine, signal});
		});
		const made = join(work, result);
		await progress.stage('check', () => checkMedium(made, whole, own));
		await chmod(made, 0o600); // machine.json alone may hold what is secret
		const sha256 = await digestFile(made);
		const inputs = Object.fromEntries([...whole].map(([path, {content}]) => [path, digestOf(content)]));
		const manifest: Manifest = {
			schema: 1,
			artefact: basename(iso),
			sha256,
			size: (await stat(made)).size,
			seconds: progress.seconds,
			profile: profile.name,
			buildId: top.buildId,
			release: debian.release,
			mode: 'live-build',
			epoch,
			inputs: {archive: index.digest, ...inputs},
			assets: {embedded: assets.embedded, leftToMachine: assets.left.map(({url}) => url)},
			packages: await readInstalled(work),
			tools: await readTools(),
			sizes: {},
		};
		signal.throwIfAborted();
		await placeIso(made, iso, work, manifest);
	});
	if (secrets.size > 0) progress.say(`${iso} holds the secrets of the profile: keep it as you keep them`);
	return {buildId: top.buildId, made: true};
}
