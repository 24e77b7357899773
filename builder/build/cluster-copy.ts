import {mkdir, readFile, writeFile} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import * as z from 'zod';
import {parseJson, withFolder} from '../folder.ts';
import {run, start, UserError} from '../run.ts';
import {checkCluster, clusterFiles, placeCluster} from './cluster.ts';

/** A cluster as one text: every file of its folder. */
const copySchema = z.strictObject({
	schema: z.literal(1),
	cluster: z.string().regex(/^[a-z0-9][a-z0-9-]{0,39}$/),
	files: z.record(z.enum(clusterFiles), z.string().min(1)),
});

/** Runs age with the terminal, where it asks for a passphrase and shows one that it has made. */
async function runAge(words: readonly string[]): Promise<void> {
	const {exitCode} = await start(['age', ...words], {terminal: true}).ended;
	if (exitCode !== 0) throw new UserError(`age exited with ${exitCode ?? 'a signal'}; nothing was written`);
}

/** Who can open a copy: whoever knows a passphrase, which age asks for, or holds the key of one of these recipients. */
export interface Recipients {
	keys: readonly string[];
	files: readonly string[];
}

/** Writes an encrypted copy of a cluster's folder, which is to outlive this workstation. */
export async function exportCluster(
	folder: string,
	cluster: string,
	out: string,
	{keys, files}: Recipients,
): Promise<void> {
	await checkCluster(folder);
	const read = clusterFiles.map(async name => [name, await readFile(join(folder, name), 'utf8')] as const);
	const copy = {schema: 1, cluster, files: Object.fromEntries(await Promise.all(read))};
	const to = [...keys.flatMap(key => ['--recipient', key]), ...files.flatMap(file => ['--recipients-file', file])];
	const words = ['--encrypt', '--armor', '--output', out];
	if (to.length > 0) await run(['age', ...words, ...to], {input: JSON.stringify(copy)});
	else
		await withFolder(dirname(folder), async work => {
			const plain = join(work, 'copy'); // the folder is this user's alone, as that of the cluster is
			await writeFile(plain, JSON.stringify(copy), {mode: 0o600});
			await runAge([...words, '--passphrase', plain]);
		});
	await run(['sync', out]);
}

/** Puts the cluster of a copy in its place; gives its name, and whether it was there already. Throws a UserError where another of its name is there. */
export async function importCluster(
	from: string,
	clusters: string,
	identity: string | undefined,
): Promise<{cluster: string; made: boolean}> {
	return withFolder(clusters, async work => {
		const plain = join(work, 'copy');
		const words = ['--decrypt', '--output', plain];
		if (identity === undefined) await runAge([...words, from]);
		else await run(['age', ...words, '--identity', identity, from]);
		const copy = copySchema.safeParse(parseJson(await readFile(plain, 'utf8')));
		if (!copy.success) throw new UserError(`${from} is not a copy of a cluster, as bringup cluster export makes it`);
		const {cluster, files} = copy.data;
		const folder = join(work, 'cluster');
		await mkdir(join(folder, 'etcd'), {recursive: true, mode: 0o700});
		for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text, {mode: 0o600});
		await checkCluster(folder);
		const place = join(clusters, cluster);
		if (await placeCluster(folder, place)) return {cluster, made: true};
		const same = clusterFiles.map(
			async name => (await readFile(join(place, name), 'utf8').catch(() => '')) === files[name],
		);
		if ((await Promise.all(same)).every(Boolean)) return {cluster, made: false};
		throw new UserError(
			`another cluster ${cluster} is in ${place}, with other keys: a node of one cannot join the other. Move that folder away first, if no machine needs it`,
		);
	});
}
