import * as z from 'zod';
import {asset} from './assets.ts';
import {own, secret} from './phase.ts';
import {userName} from './users.ts';

const kinds = {
	container: {section: 'Container', suffix: ''},
	pod: {section: 'Pod', suffix: '-pod'},
	network: {section: 'Network', suffix: '-network'},
	volume: {section: 'Volume', suffix: '-volume'},
	kube: {section: 'Kube', suffix: ''},
	image: {section: 'Image', suffix: '-image'},
} as const;

const extensions = Object.keys(kinds).join('|');

const unitName = z
	.string()
	.regex(
		new RegExp(`^[A-Za-z0-9][A-Za-z0-9_.-]*\\.(${extensions})$`),
		'expected a Quadlet file such as web.container; there are .container, .pod, .network, .volume, .kube and .image (.build would need a network)',
	);

// A line break, or a backslash at the end, would go on into the next line of the unit.
const text = z.string().regex(/^[^\r\n\0]*(?<!\\)$/, 'expected one line, not ending in a backslash');
const scalar = z.union([text, z.number(), z.boolean()]);

const unit = z.record(
	z.string().regex(/^[A-Z][A-Za-z-]*$/, 'expected a section such as Container'),
	z.record(
		z.string().regex(/^[A-Za-z][A-Za-z0-9-]*$/, 'expected a key such as PublishPort'),
		z.union([scalar, z.array(scalar)]),
	),
);

const imageName = z
	.string()
	.regex(
		/^(localhost|[a-z0-9-]+(\.[a-z0-9-]+)+|[a-z0-9.-]+:\d+)(\/[a-z0-9]+([._-]+[a-z0-9]+)*)+:\w[\w.-]{0,49}$/,
		'expected the whole name of an image with its tag, such as localhost/web:1',
	);

const containerUser = z.strictObject({
	uid: z
		.int()
		.min(2000)
		.max(2999)
		.describe(
			'number of the user and of its group, 2000 to 2999; keep it, and volumes on data disks keep their owner. It also gives the subuid and subgid range: 65536 from 10000000 + (uid - 2000) * 65536',
		),
	images: z
		.record(imageName, asset)
		.default({})
		.describe(
			'images by name, each from an archive (docker-archive or oci-archive, also gzip or zstd) that holds it under this very name; loaded without a network',
		),
	secrets: z
		.record(
			z.string().regex(/^(?!secret$)[A-Za-z0-9][A-Za-z0-9_.-]{0,252}$/, 'expected a name such as database-password'),
			secret,
		)
		.default({})
		.describe('podman secrets by name; units use them with `Secret:`'),
	files: z
		.record(
			z
				.string()
				.regex(
					new RegExp(`^(?!asset$)(?!.*\\.(${extensions}|build)$)[A-Za-z0-9][A-Za-z0-9_.-]*$`),
					'expected a plain file name such as web.yaml; units belong into units',
				),
			z.union([z.string(), asset]),
		)
		.default({})
		.describe('files beside the units, such as the YAML of a .kube unit: text, or an asset. Not for secrets'),
	units: z
		.record(unitName, unit)
		.default({})
		.describe(
			'Quadlet files by name, as in podman-systemd.unit(5): sections, keys, values; a list repeats its key. Without a section `Install`, containers, pods and .kube units start at boot; without `Pull`, a container whose image is one of `images` never asks a registry',
		),
});

/** The section `containers`. */
export const containersSchema = z
	.strictObject({
		users: z.record(userName, containerUser).describe('users who log in nowhere and run containers'),
	})
	.describe(
		'Containers of rootless podman, run by systemd through Quadlet. The folder /etc/containers/systemd/users/UID of each user is wholly the profile’s: other files in it are removed. The units, files and secrets that leave the profile are taken away, and so is the manager of a user who leaves it; accounts, images and volumes stay, and a network or volume that exists is kept as it is.',
	);

export type ContainerUser = z.output<typeof containerUser>;
type Unit = z.output<typeof unit>;

/** The kind of a Quadlet file: its own section, and what its service's name ends in; undefined of any other file. */
export function kindOf(file: string): {section: string; suffix: string} | undefined {
	return (kinds as Record<string, {section: string; suffix: string}>)[file.slice(file.lastIndexOf('.') + 1)];
}

/** What Quadlet is told where the profile says nothing. */
function complete(file: string, unit: Unit, images: ContainerUser['images']): Unit {
	const container = unit['Container'];
	const embedded = typeof container?.['Image'] === 'string' && Object.hasOwn(images, container['Image']);
	return {
		...unit,
		...(embedded && container['Pull'] === undefined ? {Container: {...container, Pull: 'never'}} : {}),
		...(/\.(container|pod|kube)$/.test(file) && unit['Install'] === undefined
			? {Install: {WantedBy: 'default.target'}}
			: {}),
	};
}

function formatUnit(unit: Unit): string {
	const sections = Object.entries(unit).map(([section, keys]) => {
		const lines = Object.entries(keys).flatMap(([key, value]) => [value].flat().map(one => `${key}=${one}\n`));
		return `[${section}]\n${lines.join('')}`;
	});
	return sections.join('\n');
}

/** The Quadlet files of a user, by name. */
export function formatUnits({units, images}: Pick<ContainerUser, 'units' | 'images'>): Map<string, string> {
	return new Map(Object.entries(units).map(([file, unit]) => [file, formatUnit(complete(file, unit, images))]));
}

/** The service that Quadlet makes of a file; undefined when it makes none. */
export function serviceOf(file: string, text: string): string | undefined {
	const kind = kindOf(file);
	if (!kind) return undefined;
	const name = /^ServiceName=(.+)$/m.exec(text)?.[1]?.trim();
	return `${name ?? file.slice(file.lastIndexOf('/') + 1, file.lastIndexOf('.')) + kind.suffix}.service`;
}

/** Whether the user's manager starts the unit at boot. */
export function startsAtBoot(text: string): boolean {
	return /^WantedBy=(.*\s)?default\.target\s*$/m.test(text);
}

/** What changed of a user: files, images and secrets, by name. */
export interface Changes {
	files: readonly string[];
	images: readonly string[];
	secrets: readonly string[];
}

/** Keys whose text may hold the name of a file by chance. */
const plainText = /^(Label|Annotation|Environment|Exec|Entrypoint|HealthCmd|HealthStartupCmd|\w*Name)$/;

/** What a unit names in its own section and in that of its service: words, between the signs that part them in a value. */
function listWords(file: string, text: string): Set<string> {
	const own = kindOf(file)?.section;
	const words = new Set<string>();
	let section = '';
	for (const line of text.split('\n')) {
		section = /^\[(.+)\]$/.exec(line)?.[1] ?? section;
		const [, key = '', value = ''] = /^([^=]+)=(.*)$/.exec(line) ?? [];
		if ((section !== own && section !== 'Service') || plainText.test(key)) continue;
		for (const word of value.split(/[\s,:;="']+/)) words.add(word.replace(/^\.\//, ''));
	}
	return words;
}

/** Where the units of all users are, by the number of each. */
export const quadletFolder = '/etc/containers/systemd/users';

/** Whether a .kube unit runs with one of these images or secrets. Its YAML says so; one that is an asset is not looked into. */
function usesInYaml(words: ReadonlySet<string>, names: readonly string[], files: ContainerUser['files']): boolean {
	return [...words].some(word => {
		const yaml = own(files, word);
		return typeof yaml === 'string' ? names.some(name => yaml.includes(name)) : yaml !== undefined && names.length > 0;
	});
}

/** The units that run with something that changed: their own file, an image, a secret, or another file that they use. */
export function findAffected(
	{uid, files}: Pick<ContainerUser, 'uid' | 'files'>,
	units: ReadonlyMap<string, string>,
	changes: Changes,
): Set<string> {
	const lines = [
		...changes.images.map(name => `Image=${name}`),
		...changes.secrets.flatMap(name => [`Secret=${name}`, `Secret=${name},`]),
	];
	const words = new Map([...units].map(([file, text]) => [file, listWords(file, text)]));
	const uses = (file: string, text: string) =>
		file.endsWith('.kube')
			? usesInYaml(words.get(file) ?? new Set(), [...changes.images, ...changes.secrets], files)
			: text.split('\n').some(line => lines.some(one => line === one || (one.endsWith(',') && line.startsWith(one))));
	const affected = new Set(changes.files);
	for (const [file, text] of units) if (uses(file, text)) affected.add(file);
	const isNamed = (name: string, by: ReadonlySet<string>) => by.has(name) || by.has(`${quadletFolder}/${uid}/${name}`);
	// What uses a unit that starts anew starts anew with it.
	for (let size = -1; size < affected.size; ) {
		size = affected.size;
		for (const [file, named] of words) if ([...affected].some(name => isNamed(name, named))) affected.add(file);
	}
	return new Set([...affected].filter(name => units.has(name)));
}
