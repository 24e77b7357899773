/** What a run begins with. */
export type Stage = 'install' | 'first boot' | 'second boot';
export const stages = ['install', 'first boot', 'second boot'] as const;

/** Numbers between 0 and 1, the same for the same seed (mulberry32). */
function makeRandom(seed: number): () => number {
	let state = seed >>> 0;
	return () => {
		state = (state + 0x6d2b79f5) >>> 0;
		let value = Math.imul(state ^ (state >>> 15), state | 1);
		value ^= value + Math.imul(value ^ (value >>> 7), value | 61);
		return ((value ^ (value >>> 14)) >>> 0) / 2 ** 32;
	};
}

/** Where in a stage the power goes: seconds after power-on, or after the installer began. */
export interface Cut {
	after: 'power-on' | 'installer';
	seconds: number;
}

export interface Plan {
	number: number;
	stage: Stage;
	/** Whether the data disks have been used before; else they are blank. */
	used: boolean;
	/** Whether the medium is in the machine, and before the disk. */
	medium: 'first' | 'last' | 'none';
	cuts: Cut[];
}

/** How long each stage takes when nobody cuts it, in seconds. */
export type Durations = Record<Stage, number>;

/** What a run does: always the same for the same seed and number. */
export function planRun(seed: number, number: number, durations: Durations, only?: Stage): Plan {
	const random = makeRandom(seed * 100_003 + number);
	const stage = only ?? (stages[Math.floor(random() * stages.length)] as Stage);
	const medium = (['first', 'last', 'none'] as const)[Math.floor(random() * (stage === 'install' ? 2 : 3))] ?? 'first';
	const cut = (): Cut => ({
		after: stage === 'install' ? 'installer' : 'power-on',
		seconds: Math.round(random() * durations[stage] * 10) / 10,
	});
	const first = cut();
	const again = random() < 1 / 3;
	const used = stage === 'second boot' || random() < 0.5;
	return {number, stage, used, medium, cuts: again ? [first, cut()] : [first]};
}
