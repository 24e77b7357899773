import {mkdir, writeFile} from 'node:fs/promises';
import {basename, join} from 'node:path';
import type {FalseFact} from '../../firstboot/facts/fact.ts';
import {type ContainerUser, formatUnits} from '../../firstboot/sequence.ts';
import {withFolder} from '../folder.ts';
import type {CompleteProfile} from '../profile/complete.ts';
import {ProfileError} from '../profile/faults.ts';
import {placeFacts} from '../profile/profile.ts';
import {type Command, ProgramError, run} from '../run.ts';
import {type CacheEntry, findWorkFolder, readVerified} from './cache.ts';

const folder = 'usr/lib/x86_64-linux-gnu';

/** The generator of the machine's podman, and what it needs of the machine's C library: this workstation's may be older. */
export const generatorFiles = [
	'usr/libexec/podman/quadlet',
	...['ld-linux-x86-64.so.2', 'libc.so.6', 'libresolv.so.2'].map(name => `${folder}/${name}`),
];

/** Bytes that the generator and the units take. */
const workSpace = 2 ** 26;

/** Takes the generator out of the base, each file checked before anything of it is run. */
async function extractGenerator(base: CacheEntry, root: string): Promise<Command> {
	await mkdir(root, {recursive: true});
	for (const name of generatorFiles.map(path => basename(path)))
		await writeFile(join(root, name), await readVerified(base, name), {mode: 0o755});
	const program = ['--library-path', root, join(root, 'quadlet'), '-dryrun', '-user'];
	return [join(root, 'ld-linux-x86-64.so.2'), ...program];
}

/** What the generator has to say of each file, by file; what it does not say of a file stands under ''. */
function parseFaults(output: string, own: string): [file: string, message: string][] {
	const lines = output
		.replaceAll(`${own}/`, '')
		.split('\n')
		.map(line => line.replace(/^quadlet-generator\[\d+\]: /, ''));
	const faults = lines.flatMap((line): [string, string][] => {
		const [, file, message] = /^(?:converting|error loading) "([^"]+)"[:,] (.*)$/.exec(line) ?? [];
		return file !== undefined && message !== undefined ? [[file, message]] : [];
	});
	return faults.length > 0 ? faults : [['', output.trim()]];
}

/** What the Quadlet generator in the base of the medium refuses of the users' units. Throws when it cannot be run. */
export async function checkQuadlets(
	base: CacheEntry,
	users: Readonly<Record<string, ContainerUser>>,
	work: string,
): Promise<FalseFact[]> {
	const command = await extractGenerator(base, join(work, 'root'));
	await run([...command, '-version']);
	const faults: FalseFact[] = [];
	for (const [name, user] of Object.entries(users)) {
		const own = join(work, 'quadlets', name);
		await mkdir(own, {recursive: true});
		for (const [file, text] of formatUnits(user)) await writeFile(join(own, file), text);
		try {
			await run(command, {env: {QUADLET_UNIT_DIRS: own}});
		} catch (error) {
			if (!(error instanceof ProgramError)) throw error;
			const path = ['containers', 'users', name, 'units'];
			for (const [file, message] of parseFaults(error.output, own))
				faults.push({path: file === '' ? path : [...path, file], message: `Quadlet refuses it: ${message}`});
		}
	}
	return faults;
}

/** Has the podman of the base read the Quadlet units that the machine will get. Throws a ProfileError with all that it refuses. */
export async function checkUnits({fields, source}: CompleteProfile, base: CacheEntry, wanted?: string): Promise<void> {
	const {containers} = fields;
	if (!containers) return;
	const faults = await withFolder(await findWorkFolder(workSpace, wanted), work =>
		checkQuadlets(base, containers.users, work),
	);
	if (faults.length > 0) throw new ProfileError(placeFacts(faults, source));
}
