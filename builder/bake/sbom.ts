import {Enums, Models, Serialize, Spec} from '@cyclonedx/cyclonedx-library';
import {digestOf} from '../build/cache.ts';
import {readField} from '../build/pool-files.ts';
import type {Other} from './contents.ts';

export interface Installed {
	name: string;
	version: string;
	architecture: string;
	/** Of the source package, where it has another name. */
	source?: string;
	maintainer?: string;
	/** Of the file that it came in. */
	sha256?: string | undefined;
}

/** The packages of a dpkg database (/var/lib/dpkg/status) that are installed, by name. */
export function parseStatus(status: string): Installed[] {
	return status
		.split('\n\n')
		.filter(stanza => /^Status: \S+ \S+ installed$/m.test(stanza))
		.map(stanza => ({
			name: readField(stanza, 'Package'),
			version: readField(stanza, 'Version'),
			architecture: readField(stanza, 'Architecture'),
			source: readField(stanza, 'Source').replace(/ .*$/, ''),
			maintainer: readField(stanza, 'Maintainer'),
		}))
		.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** The package URL of a Debian package (the purl specification's type deb). */
export function formatPurl(
	{name, version, architecture}: Pick<Installed, 'name' | 'version' | 'architecture'>,
	release: string,
): string {
	const encode = (text: string) => encodeURIComponent(text).replaceAll('%3A', ':');
	return `pkg:deb/debian/${encode(name)}@${encode(version)}?arch=${architecture}&distro=${release}`;
}

/** A UUID that the same words always give (RFC 9562, version 8). */
const toUuid = (hex: string) =>
	[hex.slice(0, 8), hex.slice(8, 12), `8${hex.slice(13, 16)}`, `a${hex.slice(17, 20)}`, hex.slice(20, 32)].join('-');

const types = {
	application: Enums.ComponentType.Application,
	container: Enums.ComponentType.Container,
	disk: Enums.ComponentType.OperatingSystem,
	file: Enums.ComponentType.File,
	library: Enums.ComponentType.Library,
} as const;

const properties = (values: Readonly<Record<string, string | undefined>>) =>
	new Models.PropertyRepository(
		Object.entries(values).flatMap(([name, value]) => (value ? [new Models.Property(name, value)] : [])),
	);

function makeOther({kind, name, version, sha256, url, purl, field, left}: Other): Models.Component {
	return new Models.Component(types[kind], name, {
		bomRef: sha256 ? `${purl}#${sha256}` : purl,
		purl,
		...(version ? {version} : {}),
		...(sha256 ? {hashes: new Models.HashDictionary([[Enums.HashAlgorithm['SHA-256'], sha256]])} : {}),
		...(left ? {scope: Enums.ComponentScope.Optional} : {}),
		...(url
			? {
					externalReferences: new Models.ExternalReferenceRepository([
						new Models.ExternalReference(url, Enums.ExternalReferenceType.Distribution),
					]),
				}
			: {}),
		properties: properties({'bringup:field': field, 'bringup:fetched-by': left ? 'machine' : undefined}),
	});
}

/** What is in an artefact, as CycloneDX 1.6: every Debian package, and all that is none. The same artefact, the same text. */
export function makeSbom(
	packages: readonly Installed[],
	others: readonly Other[],
	artefact: {name: string; sha256: string; release: string; epoch: number},
): string {
	const {name, sha256, release, epoch} = artefact;
	const bom = new Models.Bom({
		serialNumber: `urn:uuid:${toUuid(digestOf([sha256, packages, others]))}`,
		metadata: new Models.Metadata({
			timestamp: new Date(epoch * 1000),
			component: new Models.Component(Enums.ComponentType.OperatingSystem, name, {
				bomRef: name,
				version: sha256.slice(0, 12),
				hashes: new Models.HashDictionary([[Enums.HashAlgorithm['SHA-256'], sha256]]),
			}),
		}),
	});
	for (const installed of packages) {
		const purl = formatPurl(installed, release);
		bom.components.add(
			new Models.Component(Enums.ComponentType.Library, installed.name, {
				bomRef: purl,
				purl,
				version: installed.version,
				...(installed.maintainer ? {supplier: new Models.OrganizationalEntity({name: installed.maintainer})} : {}),
				properties: properties({'debian:source': installed.source, 'debian:deb-sha256': installed.sha256}),
			}),
		);
	}
	for (const other of others) bom.components.add(makeOther(other));
	const serializer = new Serialize.JsonSerializer(new Serialize.JSON.Normalize.Factory(Spec.Spec1dot6));
	return `${serializer.serialize(bom, {sortLists: true, space: 2})}\n`;
}
