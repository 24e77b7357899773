import {createHash} from 'node:crypto';
import {basename} from 'node:path';
import {findMarked} from '../../firstboot/facts/marked.ts';
import {readBundle} from '../build/bundle.ts';
import type {Manifest} from '../build/manifest.ts';
import type {CompleteProfile} from '../profile/complete.ts';

/** What is in an artefact and is no Debian package. */
export interface Other {
	kind: 'application' | 'container' | 'disk' | 'file' | 'library';
	name: string;
	version?: string | undefined;
	sha256?: string | undefined;
	url?: string | undefined;
	purl: string;
	/** Where the profile names it. */
	field?: string | undefined;
	/** Whether the machine fetches it at its first boot: then it is in no file of the artefact. */
	left?: boolean;
}

const encode = encodeURIComponent;

/** A package URL of what has no registry (the purl specification's type generic). */
const formatGeneric = (name: string, sha256: string, url?: string) =>
	`pkg:generic/${encode(name)}?checksum=sha256:${sha256}${url === undefined ? '' : `&download_url=${encode(url)}`}`;

function findKind(path: readonly PropertyKey[]): Other['kind'] {
	if (path.at(-1) === 'binary') return 'application';
	if (path.includes('images')) return 'container';
	return path[0] === 'virtualization' ? 'disk' : 'file';
}

/** The files that the profile pins by their digest. */
function listAssets(fields: CompleteProfile['fields'], embedded: ReadonlySet<string>): Other[] {
	return findMarked('asset', fields).map(({path, value: {asset}}) => {
		const sha256 = asset.sha256 ?? '';
		const url = 'url' in asset ? asset.url : undefined;
		const name = basename(url === undefined ? String('file' in asset && asset.file) : new URL(url).pathname);
		const isK3s = path.join('.') === 'kubernetes.binary';
		const common = {kind: findKind(path), sha256, url, field: path.join('.'), left: !embedded.has(sha256)};
		if (!isK3s) return {...common, name, purl: formatGeneric(name, sha256, url)};
		const version = fields.kubernetes?.version;
		return {...common, name: 'k3s', version, purl: `pkg:github/k3s-io/k3s${version ? `@${encode(version)}` : ''}`};
	});
}

/** All that is in an artefact of a profile beside Debian's packages: its assets, bringup's own program, and what is bundled into that. */
export async function listOthers(
	fields: CompleteProfile['fields'],
	{assets, tools}: Pick<Manifest, 'assets' | 'tools'>,
): Promise<Other[]> {
	const {text, packages} = await readBundle();
	const sha256 = createHash('sha256').update(text).digest('hex');
	const version = tools['bringup']?.split(' ')[0]; // beside it may stand the commit
	const own: Other = {
		kind: 'application',
		name: 'bringup',
		version,
		sha256,
		purl: `pkg:npm/bringup${version ? `@${encode(version)}` : ''}`,
	};
	const bundled = packages.map(({name, version}) => ({
		...{kind: 'library' as const, name, version},
		purl: `pkg:npm/${name.replace('@', '%40')}@${version}`,
	}));
	const all: Other[] = [...listAssets(fields, new Set(assets.embedded)), own, ...bundled];
	return [...new Map(all.map(other => [`${other.purl} ${other.sha256}`, other])).values()]; // the same file in two fields is one
}
