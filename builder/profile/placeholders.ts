import type {FalseFact, FieldPath} from '../../firstboot/facts/fact.ts';

/** Names that nobody has (RFC 2606). */
const reserved = /(^|\.)(example|invalid|test)$|(^|\.)example\.(com|net|org)$/;

function explain(text: string): string | undefined {
	if (/\bCHANGE-ME\b/i.test(text)) return 'is an example; put your own value there';
	if (/^([0-9a-f])\1{63}$/.test(text)) return 'is an example of a digest; put that of your file there (sha256sum)';
	if (/^https?:\/\//.test(text) && URL.canParse(text) && reserved.test(new URL(text).hostname))
		return `${new URL(text).hostname} is an example of a host; put your own URL there`;
	return undefined;
}

/** Values that stand for one's own. Those of the section debian are the build's, which tells at once when a host is not there. */
export function findPlaceholders(value: unknown, path: FieldPath = []): FalseFact[] {
	if (typeof value === 'string') {
		const message = explain(value);
		return message === undefined ? [] : [{path, message}];
	}
	if (typeof value !== 'object' || value === null) return [];
	return Object.entries(value)
		.filter(([name]) => path.length > 0 || name !== 'debian')
		.flatMap(([name, inner]) => findPlaceholders(inner, [...path, Array.isArray(value) ? Number(name) : name]));
}
