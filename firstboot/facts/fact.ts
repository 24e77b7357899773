import type * as z from 'zod';
import type {sections} from '../sequence.ts';

/** A place in a profile: names of fields, and positions in lists. */
export type FieldPath = readonly (string | number)[];

/** Something that the schema cannot see: true of no machine. */
export interface FalseFact {
	path: FieldPath;
	message: string;
}

/** What the facts ask of the sections that only the builder reads. A machine has neither. */
interface BuilderSections {
	debian?:
		| {
				release: string;
				components: readonly string[];
				packages: readonly string[];
				lock?: string | undefined;
				mirror?: string | undefined;
		  }
		| undefined;
	machine?:
		| {
				firmware: readonly string[];
				secureBoot: boolean;
				microcode: readonly string[];
				memory?: string | undefined;
				cpus?: number | undefined;
		  }
		| undefined;
}

/** The sections whose shape is right. */
export type Sections = {
	[Name in keyof typeof sections]?: z.output<(typeof sections)[Name]> | undefined;
} & BuilderSections;
