import {readFile} from 'node:fs/promises';
import {join} from 'node:path';
import {packageFolder} from '../paths.ts';
import {makeJsonSchema} from './schema.ts';
import type {JsonSchema} from './shape.ts';

function formatType(schema: JsonSchema): string {
	if (schema.const !== undefined) return `\`${schema.const}\``;
	if (schema.enum) return schema.enum.map(value => `\`${value}\``).join(', ');
	if (schema.anyOf) return [...new Set(schema.anyOf.map(formatType))].join(' or ');
	if (schema.type === 'array') return `list of ${schema.items ? formatType(schema.items) : 'anything'}`;
	if (itemOf(schema)) return 'map by name';
	if (schema.properties) return 'map';
	if (schema.format === 'uri') return 'URL';
	return (
		{string: 'text', boolean: 'true or false', number: 'number'}[schema.type ?? ''] ??
		schema.format ??
		schema.type ??
		''
	);
}

/** What a map by name holds. */
function itemOf({additionalProperties}: JsonSchema): JsonSchema | undefined {
	return additionalProperties && Object.keys(additionalProperties).length > 0 ? additionalProperties : undefined;
}

/** A list's fields are those of its items; a choice's are those of all its branches. */
function fieldsOf(schema: JsonSchema): JsonSchema['properties'] {
	const inner = schema.items ?? itemOf(schema);
	if (inner) return fieldsOf(inner);
	const own = schema.properties;
	if (own || !schema.anyOf) return own;
	const branches = schema.anyOf.flatMap(branch => Object.entries(fieldsOf(branch) ?? {}));
	return branches.length > 0 ? Object.fromEntries(branches) : undefined;
}

function formatRows(schema: JsonSchema, prefix: string): string[] {
	const required = (schema.items ?? itemOf(schema) ?? schema).required ?? [];
	return Object.entries(fieldsOf(schema) ?? {}).flatMap(([name, field]) => {
		const path = `${prefix}${name}`;
		const must = required.includes(name)
			? 'required'
			: field.default === undefined || fieldsOf(field)
				? ''
				: `\`${JSON.stringify(field.default)}\``;
		const cells = [`\`${path}\``, formatType(field), must, field.description ?? ''];
		const inner =
			fieldsOf(field)?.['secret'] || fieldsOf(field)?.['asset']
				? []
				: formatRows(field, `${path}${field.type === 'array' ? '[]' : itemOf(field) ? '.NAME' : ''}.`);
		return [`| ${cells.map(cell => cell.replaceAll('|', '\\|')).join(' | ')} |`, ...inner];
	});
}

/** The text of a section in a shipped profile, with its comments. */
function findSection(name: string, text: string): string | undefined {
	const found = new RegExp(`^${name}:.*\\n(?:(?:[ \\t].*)?\\n)*`, 'm').exec(text)?.[0].trimEnd();
	return found === undefined || found === `${name}:` ? undefined : found;
}

/** Where each section is shown: in the first of these that has it. */
const shown = ['nas', 'homelab', 'node'];

/** docs/profile.md: every field, from the schema; each section as a shipped profile has it. */
export async function formatReference(): Promise<string> {
	const profiles = await Promise.all(
		shown.map(name => readFile(join(packageFolder, 'profiles', `${name}.yaml`), 'utf8')),
	);
	const exampleOf = (name: string): string[] => {
		const at = profiles.findIndex(text => findSection(name, text)?.includes('\n'));
		if (at < 0) return [];
		return ['', `In profiles/${shown[at]}.yaml:`, '', '```yaml', findSection(name, profiles[at] ?? '') ?? '', '```'];
	};
	const schema = makeJsonSchema() as JsonSchema;
	const sections = Object.entries(schema.properties ?? {}).filter(([, section]) => section.properties);
	const scalars = {
		properties: Object.fromEntries(
			Object.entries(schema.properties ?? {}).filter(([, section]) => !section.properties),
		),
		required: ['schema'],
	};
	const head = ['| field | what | default | meaning |', '| --- | --- | --- | --- |'];
	return [
		'# Profile reference',
		'',
		'Generated from the schema by `npm run docs`; do not edit.',
		'',
		schema.description ?? '',
		'',
		...head,
		...formatRows(scalars, ''),
		...sections.flatMap(([name, section]) => [
			'',
			`## ${name}`,
			'',
			section.description ?? '',
			'',
			...head,
			...formatRows(section, `${name}.`),
			...exampleOf(name),
		]),
		'',
	].join('\n');
}
