import {type Probe, planFile, type Step} from './phase.ts';

/** Where it is on record what of a subject bringup has made: what leaves the profile is taken away, what others made is not. */
const folder = '/var/lib/bringup/owned';

/** What the profile asks for against what is on record. */
export interface Owned {
	/** Made once, and no longer in the profile. */
	left: string[];
	/** Steps before anything is made: what a power cut leaves is on record already. */
	before: Step[];
	/** Steps after what left was taken away. */
	after: Step[];
}

/** Compares the names of what the profile asks for with those on record. */
export async function planOwned(subject: string, wanted: readonly string[], probe: Probe): Promise<Owned> {
	const path = `${folder}/${subject}`;
	const known = ((await probe.read(path)) ?? '').split('\n').filter(Boolean);
	const left = known.filter(name => !wanted.includes(name));
	const write = (names: readonly string[], why: string) =>
		planFile(
			probe,
			path,
			[...new Set(names)]
				.sort()
				.map(name => `${name}\n`)
				.join(''),
			why,
		);
	const isKnown = wanted.every(name => known.includes(name));
	return {
		left,
		before: isKnown ? [] : await write([...known, ...wanted], `note the ${subject.replaceAll('-', ' ')} that are made`),
		after: left.length > 0 ? await write(wanted, `note the ${subject.replaceAll('-', ' ')} that are left`) : [],
	};
}
