import {X509Certificate} from 'node:crypto';
import {readdir, readFile} from 'node:fs/promises';
import {join, resolve} from 'node:path';
import {parseArgs} from 'node:util';
import {exportCluster, importCluster} from '../build/cluster-copy.ts';
import {checkPrograms, UsageError, UserError} from '../run.ts';
import {findCluster, listClustersFolders} from './clusters.ts';
import type {CliCommand, Surroundings} from './command.ts';

const options = {
	output: {type: 'string', short: 'o'},
	recipient: {type: 'string', multiple: true, short: 'r'},
	'recipients-file': {type: 'string', multiple: true, short: 'R'},
	identity: {type: 'string', short: 'i'},
} as const;

/** Name, end and folder of every cluster; the digest is that of its root, which its tokens begin with. */
async function list({environment, out}: Surroundings): Promise<void> {
	for (const folder of await listClustersFolders(environment)) {
		for (const name of (await readdir(folder).catch(() => [])).filter(name => !name.startsWith('.')).sort()) {
			const root = await readFile(join(folder, name, 'root-ca.crt'), 'utf8').catch(() => undefined);
			const certificate = root === undefined ? undefined : new X509Certificate(root);
			const digest = certificate?.fingerprint256.replaceAll(':', '').toLowerCase().slice(0, 16);
			const state = certificate ? `root ${digest}, until ${certificate.validTo}` : 'not whole';
			out.write(`${name}  ${state}  ${join(folder, name)}\n`);
		}
	}
}

const needTerminal = (what: string, isTerminal: boolean) => {
	if (!isTerminal) throw new UsageError(`this is not a terminal, where age could ask for a passphrase; say ${what}`);
};

export const cluster: CliCommand = {
	summary: 'list the clusters that builds have made, and copy one to another workstation',
	help: `usage: bringup cluster list
       bringup cluster export NAME [-o FILE] [-r RECIPIENT]... [-R FILE]...
       bringup cluster import FILE [-i IDENTITY]

The first build that names a cluster makes its authorities and tokens, says so, and keeps them in
~/.local/share/bringup/clusters/NAME; under sudo, in the home of who called it. They cannot be made again: a node of one
cluster never joins another of the same name. So keep a copy, and bring it to each workstation and to CI.

  -o, --output FILE            the copy (default: NAME.cluster.age)
  -r, --recipient KEY          encrypt to this key of age or SSH, as age takes it; several may be said
  -R, --recipients-file FILE   the same, of a file with one a line
  -i, --identity FILE          decrypt with this key, for import

Without a key, age asks for a passphrase. CI has no terminal: make a key for it with age-keygen.
`,
	async run(argv, surroundings) {
		const {values, positionals} = parseArgs({args: [...argv], options, allowPositionals: true});
		const [action, name = '', ...more] = positionals;
		const {environment, err} = surroundings;
		if (action === 'list' && name === '') return list(surroundings).then(() => 0);
		if ((action !== 'export' && action !== 'import') || name === '' || more.length > 0)
			throw new UsageError('say list, export NAME, or import FILE. See bringup cluster --help');
		await checkPrograms(['age'], environment['PATH'] ?? '');
		const isTerminal = err.isTTY === true;
		if (action === 'import') {
			if (values.identity === undefined) needTerminal('--identity FILE', isTerminal);
			const [folder = ''] = await listClustersFolders(environment);
			const done = await importCluster(resolve(name), folder, values.identity);
			err.write(
				`${join(folder, done.cluster)}: ${done.made ? 'imported' : 'it is there already, with the same keys'}\n`,
			);
			return 0;
		}
		const folder = await findCluster(name, environment);
		if (folder === undefined)
			throw new UserError(`there is no cluster ${name}; bringup cluster list shows those that are there`);
		const to = {keys: values.recipient ?? [], files: values['recipients-file'] ?? []};
		if (to.keys.length + to.files.length === 0) needTerminal('--recipient KEY', isTerminal);
		const copy = resolve(values.output ?? `${name}.cluster.age`);
		await exportCluster(join(folder, name), name, copy, to);
		err.write(`${copy}: the cluster ${name}, encrypted. Keep it where this workstation's end does not reach\n`);
		return 0;
	},
};
