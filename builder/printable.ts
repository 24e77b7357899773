/** The text without the names and passwords in its URLs: logs and messages are read by others. Each place of a line stays where it is. */
export function maskUrls(text: string): string {
	return text.replace(/(\w:\/\/)([^\s/?#@"']+)(?=@)/g, (_, scheme, secret) => scheme + '*'.repeat(secret.length));
}

/** Line ends and tabs are shown as they are; of other control and format characters, line separators and halves of characters, only the number. */
const hidden = /(?![\n\t])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

/**
 * Text from outside (a machine, a server, a program) as a terminal or a log may get it: what would move the cursor, set a
 * title or the clipboard, or change the order of what is read is shown as its number.
 */
export function printable(text: string): string {
	return text.replace(/\r\n?/g, '\n').replace(hidden, mark => {
		const code = mark.codePointAt(0)?.toString(16) ?? '';
		return code.length > 2 ? `\\u{${code}}` : `\\x${code.padStart(2, '0')}`;
	});
}

/** The same on one line. */
export const printableLine = (text: string) => printable(text).replaceAll('\n', ' ').trim();

/** JSON for people and programs: what is not ASCII is JSON's own escape, so that it is the same data and writes to no terminal. */
export const printableJson = (value: unknown) =>
	`${JSON.stringify(value, undefined, '\t').replace(/[^\n\t\x20-\x7e]/g, mark => `\\u${mark.charCodeAt(0).toString(16).padStart(4, '0')}`)}\n`;
