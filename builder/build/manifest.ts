import type {Package} from './packages.ts';

/** What an artefact was made from; stands beside it as JSON. */
export interface Manifest {
	schema: 1;
	artefact: string;
	sha256: string;
	/** In bytes. */
	size: number;
	profile: string;
	buildId: string;
	release: string;
	/** Root, or a user namespace of an ordinary user. */
	mode: string;
	epoch: number;
	/** Digest of every input that is not a package. */
	inputs: Record<string, string>;
	/** Digests of the files on the medium beside Debian's packages; URLs of those that the machine fetches. */
	assets: {embedded: readonly string[]; leftToMachine: readonly string[]};
	/** Of a package that live-build fetched name and version are known. */
	packages: (Pick<Package, 'name' | 'version'> & Partial<Pick<Package, 'architecture' | 'sha256'>>)[];
	/** Versions of bringup, and of what it ran. */
	tools: Record<string, string>;
	/** Bytes of the parts. */
	sizes: Record<string, number>;
	/** Seconds of each stage of this run; a stage that the cache spared is not here. */
	seconds: Record<string, number>;
}
