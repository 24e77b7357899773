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
		super(faults.map(formatFault).join('\n'));
		this.faults = faults;
	}
}

/** A path as a person in this folder would write it. */
export function showPath(path: string): string {
	const short = relative('.', path);
	return short === '' || short.startsWith('..') ? path : short;
}

/** `file:line:column: error: path: message`, the line, and a caret under what is meant. */
export function formatFault({path, message, place}: Fault): string {
	const {file, text, line, column, length} = place;
	const gutter = ` ${line} | `;
	const before = text.slice(0, column - 1).replace(/[^\t]/g, ' ');
	const carets = '^'.repeat(Math.max(1, Math.min(length, text.trimEnd().length - column + 1)));
	const where = `${showPath(file)}:${line}:${column}`;
	return [
		`${where}: error: ${path ? `${path}: ` : ''}${message}`,
		`${gutter}${text}`,
		`${' '.repeat(gutter.length - 2)}| ${before}${carets}`,
	].join('\n');
}

/** A path as people write it: identity.users[0].sshKeys */
export function formatPath(path: readonly PropertyKey[]): string {
	return path
		.map((part, index) => (typeof part === 'number' ? `[${part}]` : `${index > 0 ? '.' : ''}${String(part)}`))
		.join('');
}
