import {maskUrls, printable, printableLine} from './printable.ts';

/** Says what a stage is at; `part` from 0 to 1 where it is known. */
export type Update = (text: string, part?: number) => void;

/** Tells people how far long work is. */
export interface Progress {
	/** Runs one stage, its time taken. */
	stage<T>(name: string, work: (update: Update) => Promise<T>): Promise<T>;
	say(line: string): void;
	/** Seconds of each stage that has ended. */
	readonly seconds: Record<string, number>;
}

const width = 24;

function formatBar(name: string, text: string, part: number | undefined, since: number, columns: number): string {
	const elapsed = ((performance.now() - since) / 1000).toFixed(0);
	const full = part === undefined ? 0 : Math.round(Math.min(1, part) * width);
	return `${name.padEnd(10)} [${'#'.repeat(full).padEnd(width, '.')}] ${elapsed.padStart(3)} s  ${printableLine(text)}`.slice(
		0,
		columns - 1,
	);
}

/** A bar for each stage on a terminal, redrawn in place; else a line when a stage starts and one when it ends. */
export function makeProgress(out: NodeJS.WriteStream, quiet: boolean): Progress {
	const seconds: Record<string, number> = {};
	const live = out.isTTY && !quiet;
	let redraw: (() => void) | undefined;
	const clear = () => {
		if (live) out.write('\r\x1b[K');
	};
	const say = (line: string) => {
		clear();
		if (!quiet) out.write(`${printable(maskUrls(line))}\n`);
		redraw?.();
	};
	return {
		seconds,
		say,
		async stage(name, work) {
			const since = performance.now();
			let [text, part]: [string, number | undefined] = ['', undefined];
			if (!live) say(`${name} …`);
			redraw = () => {
				if (live) out.write(`\r\x1b[K${formatBar(name, text, part, since, out.columns ?? 80)}`);
			};
			const timer = setInterval(redraw, 200);
			redraw();
			try {
				const result = await work((newText, newPart) => {
					[text, part] = [newText, newPart ?? part];
				});
				seconds[name] = Math.round(performance.now() - since) / 1000;
				redraw = undefined;
				say(`${name.padEnd(10)} done in ${seconds[name].toFixed(1)} s${text ? ` (${text})` : ''}`);
				return result;
			} finally {
				clearInterval(timer);
				redraw = undefined;
				clear();
			}
		},
	};
}
