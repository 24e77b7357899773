import {relative} from 'node:path';

/** A stretch of one line of a file; line and column count from 1. */
export interface Place {
	file: string;
	/** The whole line. */
	text: string;
	line: number;
	column: number;
	length: number;
}

/** What is wrong at one place of a profile. */
export interface Fault {
	/** The field, as people write it: install.disk.minSize, or nothing for the file as such. */
	path: string;
	message: string;
	place: Place;
}

/** A profile with faults; the only error of its kind, and all of them at once. */
export class ProfileError extends Error {
	readonly faults: readonly Fault[];

	constructor(faults: readonly Fault[]) {
		super(faults.map(fault => formatFault(fault)).join('\n'));
		this.faults = faults;
	}
}

/** A profile without a fault that still has values of an example. */
export class IncompleteError extends Error {
	constructor(faults: readonly Fault[]) {
		const lines = faults.map(fault => formatFault(fault, 'incomplete'));
		super(
			[...lines, 'nothing is wrong with the profile, but it is an example; extend it with your own values'].join('\n'),
		);
	}
}

/** A path as a person in this folder would write it. */
export function showPath(path: string): string {
	const short = relative('.', path);
	return short === '' || short.startsWith('..') ? path : short;
}

/** Text that a terminal shows and does not obey: a control character, or one that turns the line around, is a sign in its place. */
function tame(text: string): string {
	return text.replace(/[^\P{C}\t]|[\u2028\u2029]/gu, '\u{FFFD}');
}

/** Characters of a line, or of a message, that one can still read. */
const [widest, longest] = [120, 1000];

/** The stretch of a line around a column, where the line is long. */
function clip(text: string, column: number): {text: string; column: number} {
	if (text.length <= widest) return {text, column};
	const from = Math.max(0, Math.min(column - widest / 2, text.length - widest));
	const end = from + widest < text.length ? '…' : '';
	return {
		text: `${from > 0 ? '…' : ''}${text.slice(from, from + widest)}${end}`,
		column: column - from + (from > 0 ? 1 : 0),
	};
}

/** `file:line:column: error: path: message`, the line, and a caret under what is meant. */
export function formatFault({path, message, place}: Fault, kind: 'error' | 'incomplete' = 'error'): string {
	const {text, column} = clip(tame(place.text), place.column);
	const gutter = ` ${place.line} | `;
	const before = text.slice(0, column - 1).replace(/[^\t]/g, ' ');
	const carets = '^'.repeat(Math.max(1, Math.min(place.length, text.trimEnd().length - column + 1)));
	const where = `${showPath(place.file)}:${place.line}:${place.column}`;
	const whole = tame(`${where}: ${kind}: ${path ? `${path}: ` : ''}${message}`);
	return [
		whole.length > longest ? `${whole.slice(0, longest)}…` : whole,
		`${gutter}${text}`,
		`${' '.repeat(gutter.length - 2)}| ${before}${carets}`,
	].join('\n');
}
