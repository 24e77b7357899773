import type {Plan} from './fault-plan.ts';

/** How a run ended. */
export interface Row extends Plan {
	seed: number;
	result: 'converged' | 'refused' | 'failed' | 'differs' | 'emulator';
	seconds: number;
	/** What the machine said last before each cut. */
	cutAt: string[];
	detail?: string;
}

/** The phase that a line of the serial port is about. */
function findPlace({stage}: Plan, line: string): string {
	const phase = /^phase (\S+)/.exec(line)?.[1];
	if (phase !== undefined) return `${stage}: ${phase}`;
	return /before our program/.test(line) ? `${stage}: firmware, kernel, systemd` : `${stage}: between phases`;
}

/** The runs by the place of the first cut, as a table in Markdown. */
export function formatTable(rows: readonly Row[]): string {
	const places = new Map<string, Row[]>();
	for (const row of rows) {
		const place = findPlace(row, row.cutAt[0] ?? 'before our program');
		places.set(place, [...(places.get(place) ?? []), row]);
	}
	const count = (some: readonly Row[], ...results: Row['result'][]) =>
		some.filter(({result}) => results.includes(result)).length;
	const format = (place: string, some: readonly Row[]) =>
		`| ${place} | ${some.length} | ${some.filter(({cuts}) => cuts.length > 1).length} | ${count(some, 'converged')} | ${count(some, 'refused')} | ${count(some, 'failed', 'differs')} | ${count(some, 'emulator')} |`;
	return [
		'| first cut in | runs | cut twice | converged | refused rightly | failed | fault of the emulator |',
		'| --- | --- | --- | --- | --- | --- | --- |',
		...[...places].sort(([a], [b]) => a.localeCompare(b)).map(([place, some]) => format(place, some)),
		format('all', rows),
		'',
	].join('\n');
}
