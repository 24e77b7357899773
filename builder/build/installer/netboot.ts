import {join} from 'node:path';
import type {CompleteProfile} from '../../profile/complete.ts';
import type {FileTree} from '../../render/tree.ts';
import {checkPrograms} from '../../run.ts';
import {tellLeft} from '../assets.ts';
import {withOutput} from '../output.ts';
import {
	copyInto,
	describeTree,
	type NetbootTree,
	networkWords,
	type PxeOptions,
	placeTree,
	restoreTree,
	writeBoot,
} from '../pxe.ts';
import {
	checkEnvironment,
	describeInstaller,
	installerPrograms,
	listPoolFiles,
	poolFolder,
	writeInitramfs,
} from './installer.ts';
import {gatherInstaller} from './parts.ts';

/** Makes a tree by which machines boot Debian's own installer over the network, with its packages, and puts it in place at once. */
export async function buildInstallerPxe(
	profile: CompleteProfile,
	tree: FileTree,
	options: PxeOptions,
): Promise<NetbootTree> {
	const {out, progress, searchPath} = options;
	await checkPrograms([...installerPrograms, 'du'], searchPath);
	return withOutput(out, options, async () => {
		await restoreTree(out);
		const parts = await gatherInstaller(profile, tree, options);
		tellLeft(parts, progress.say);
		return placeTree(options, async (folder, work) => {
			const written = await progress.stage('tree', async update => {
				const contents = await listPoolFiles(parts, work);
				const initramfs = join(work, 'initrd.img');
				await writeInitramfs(parts, initramfs, work);
				await copyInto(
					folder,
					new Map([
						...contents,
						['install/vmlinuz', join(parts.environment.folder, 'vmlinuz')],
						['install/initrd.img', initramfs],
					]),
				);
				const words = ['mirror/http/hostname=$server', `mirror/http/directory=/${poolFolder(parts)}`, ...networkWords];
				const variables = `set build=${parts.top.buildId}\nset folder=/install\nset words="${words.join(' ')}"\n`;
				await writeBoot(folder, parts.environment.folder, tree, variables);
				await checkEnvironment(parts);
				update(poolFolder(parts));
				return describeTree(profile, parts.top, {epoch: parts.epoch, layers: []});
			});
			return {written, describe: artefact => describeInstaller(parts, options, artefact)};
		});
	});
}
