import {Enums, Models, Serialize, Spec} from '@cyclonedx/cyclonedx-library';
import {digestOf} from '../build/cache.ts';
import {readField} from '../build/pool-files.ts';

interface Installed {
	name: string;
	version: string;
	architecture: string;
	/** Of the source package, where it has another name. */
	source: string;
	maintainer: string;
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
	{name, version, architecture}: Omit<Installed, 'source' | 'maintainer'>,
	release: string,
): string {
	const encode = (text: string) => encodeURIComponent(text).replaceAll('%3A', ':');
	return `pkg:deb/debian/${encode(name)}@${encode(version)}?arch=${architecture}&distro=${release}`;
}

/** A UUID that the same words always give (RFC 9562, version 8). */
const toUuid = (hex: string) =>
	[hex.slice(0, 8), hex.slice(8, 12), `8${hex.slice(13, 16)}`, `a${hex.slice(17, 20)}`, hex.slice(20, 32)].join('-');

/** What is in an image, as CycloneDX 1.6: every package of its dpkg database. The same image, the same text. */
export function makeSbom(
	status: string,
	image: {name: string; sha256: string; release: string; epoch: number},
): string {
	const bom = new Models.Bom({
		serialNumber: `urn:uuid:${toUuid(digestOf([image.sha256, status]))}`,
		metadata: new Models.Metadata({
			timestamp: new Date(image.epoch * 1000),
			component: new Models.Component(Enums.ComponentType.OperatingSystem, image.name, {
				bomRef: image.name,
				version: image.sha256.slice(0, 12),
				hashes: new Models.HashDictionary([[Enums.HashAlgorithm['SHA-256'], image.sha256]]),
			}),
		}),
	});
	for (const installed of parseStatus(status)) {
		const purl = formatPurl(installed, image.release);
		bom.components.add(
			new Models.Component(Enums.ComponentType.Library, installed.name, {
				bomRef: purl,
				purl,
				version: installed.version,
				supplier: new Models.OrganizationalEntity({name: installed.maintainer}),
				...(installed.source === ''
					? {}
					: {properties: new Models.PropertyRepository([new Models.Property('debian:source', installed.source)])}),
			}),
		);
	}
	const serializer = new Serialize.JsonSerializer(new Serialize.JSON.Normalize.Factory(Spec.Spec1dot6));
	return `${serializer.serialize(bom, {sortLists: true, space: 2})}\n`;
}
