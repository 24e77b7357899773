import {readdir, rename} from 'node:fs/promises';
import {dirname, join, resolve} from 'node:path';
import {parseArgs} from 'node:util';
import {withFolder} from '../folder.ts';
import {renderTree, writeTree} from '../render/tree.ts';
import {UserError} from '../run.ts';
import {type CliCommand, look, noteKey} from './command.ts';

export const render: CliCommand = {
	summary: "render a profile's live-build tree",
	help: `usage: bringup render --profile NAME [-o DIR]

  -o, --out DIR    write the tree there, into a new or empty folder; without it the paths are listed

The tree is Debian live-build's: auto/config, config/package-lists, config/includes.chroot, config/hooks.
Secrets are not in it.
`,
	async run(argv, surroundings) {
		const {values} = parseArgs({
			args: [...argv],
			options: {profile: {type: 'string'}, out: {type: 'string', short: 'o'}},
		});
		const {profile, needsKey} = await look(values.profile, surroundings);
		const tree = await renderTree(profile);
		if (needsKey) surroundings.err.write(noteKey);
		if (values.out === undefined) {
			surroundings.out.write([...tree.keys(), ''].join('\n'));
			return 0;
		}
		const folder = resolve(values.out);
		const there = await readdir(folder).catch(() => []);
		if (there.length > 0) throw new UserError(`${values.out} is not empty; name a new folder, or remove what is in it`);
		await withFolder(dirname(folder), async work => {
			await writeTree(tree, join(work, 'tree'));
			await rename(join(work, 'tree'), folder); // onto an empty one too, at once
		});
		return 0;
	},
};
