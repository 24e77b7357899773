import {printable, printableLine} from '../printable.ts';
import type {Entry} from './orders.ts';

/** Where a person sees what the machines do. */
export interface Board {
	say(line: string): void;
	show(name: string, entry: Entry): void;
	/** Forgets all machines but these. */
	keep(names: readonly string[]): void;
	/** Lets the last rows stand. */
	end(): void;
}

function formatAge(at: string, now: number): string {
	const seconds = Math.max(0, Math.round((now - Date.parse(at)) / 1000));
	if (seconds < 120) return `${seconds} s`;
	return seconds < 7200 ? `${Math.floor(seconds / 60)} min` : `${Math.floor(seconds / 3600)} h`;
}

/** A row a machine: its name, what it is at, for how long, and why it failed. */
export function formatRows(entries: ReadonlyMap<string, Entry>, columns: number, now: number): string[] {
	const width = Math.max(0, ...[...entries.keys()].map(name => name.length));
	return [...entries].map(([name, {state, at, failure = ''}]) =>
		`${name.padEnd(width)}  ${state.padEnd(10)}  ${formatAge(at, now).padStart(6)}  ${printableLine(failure.split('\n')[0] ?? '')}`
			.slice(0, columns - 1)
			.trimEnd(),
	);
}

/** Rows at the foot of a terminal, redrawn in place, with lines above them; elsewhere a line for each change. */
export function makeBoard(out: NodeJS.WriteStream): Board {
	const entries = new Map<string, Entry>();
	let drawn = 0;
	const draw = (line?: string) => {
		const rows = formatRows(entries, out.columns ?? 80, Date.now());
		const up = drawn > 0 ? `\x1b[${drawn}A` : '';
		out.write(
			`${up}\x1b[J${[...(line === undefined ? [] : [printable(line)]), ...rows].map(row => `${row}\n`).join('')}`,
		);
		drawn = rows.length;
	};
	const timer = out.isTTY ? setInterval(() => draw(), 1000) : undefined;
	return {
		say: line => (out.isTTY ? draw(line) : void out.write(`${printable(line)}\n`)),
		show(name, entry) {
			entries.set(name, entry);
			if (out.isTTY) draw();
			else out.write(`${name}: ${entry.state}${entry.failure ? `: ${printableLine(entry.failure)}` : ''}\n`);
		},
		keep(names) {
			for (const name of entries.keys()) if (!names.includes(name)) entries.delete(name);
		},
		end: () => clearInterval(timer),
	};
}
