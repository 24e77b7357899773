import Mustache from 'mustache';

/** The values that templates may name: text, lists of text. */
export type View = Readonly<Record<string, string | readonly string[]>>;

/** What a template's output is read by, and so how a value must be written into it. */
export type Escaping = 'shell' | 'grub' | 'line';

type Token = [type: string, name: string, start: number, end: number, children?: Token[]];

/** Control characters would end a line and start a directive of the value's own. */
function refuseControl(text: string): string {
	// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused
	if (/[\u0000-\u001f\u007f]/.test(text))
		throw new Error(`a value with a line break or control character: ${JSON.stringify(text)}`);
	return text;
}

const escapes: Record<Escaping, (text: string) => string> = {
	shell: text => `'${refuseControl(text).replaceAll("'", "'\\''")}'`,
	// GRUB's single quotes cannot hold one (GRUB manual, Quoting).
	grub: text => {
		if (text.includes("'")) throw new Error(`a value with a quote, which GRUB cannot take: ${text}`);
		return `'${refuseControl(text)}'`;
	},
	line: refuseControl,
};

function findTokenFault([type, name]: Token, view: View): string | undefined {
	if (type === '&') return `{{{${name}}}} and {{&${name}}} are not allowed: every value is escaped`;
	if (type === '>') return `{{>${name}}}: there are no partials`;
	if ((type === 'name' || type === '#' || type === '^') && name !== '.' && !Object.hasOwn(view, name))
		return `unknown name ${name}`;
	return undefined;
}

/** Every name must be known, nothing may go unescaped. Throws an Error that says file:line. */
function checkTokens(tokens: readonly Token[], view: View, file: string, text: string): void {
	for (const token of tokens) {
		const fault = findTokenFault(token, view);
		if (fault) throw new Error(`${file}:${text.slice(0, token[2]).split('\n').length}: ${fault}`);
		if (Array.isArray(token[4])) checkTokens(token[4], view, file, text);
	}
}

/** Fills a template. Throws an Error with file:line on an unknown name, an unescaped tag, or a value that its output cannot hold. */
export function fillTemplate(file: string, text: string, view: View, escaping: Escaping): string {
	checkTokens(Mustache.parse(text) as unknown as Token[], view, file, text);
	try {
		return Mustache.render(text, view, undefined, {escape: value => escapes[escaping](String(value))});
	} catch (error) {
		throw new Error(`${file}: ${(error as Error).message}`, {cause: error});
	}
}
