import {join} from 'node:path';
import {parseArgs} from 'node:util';
import {writeWhole} from '../folder.ts';
import {formatReference} from '../profile/docs.ts';
import {makeEditorSchema} from '../profile/editor.ts';
import type {CliCommand} from './command.ts';

export const schema: CliCommand = {
	summary: 'print the JSON Schema of profiles, for editors',
	help: `usage: bringup schema [--out DIR]

  --out DIR   write profile.schema.json and profile.md there instead
`,
	async run(argv, {out}) {
		const {values} = parseArgs({args: [...argv], options: {out: {type: 'string'}}});
		const text = `${JSON.stringify(makeEditorSchema(), undefined, '\t')}\n`;
		if (values.out === undefined) {
			out.write(text);
			return 0;
		}
		await writeWhole(join(values.out, 'profile.schema.json'), text);
		await writeWhole(join(values.out, 'profile.md'), await formatReference());
		return 0;
	},
};
