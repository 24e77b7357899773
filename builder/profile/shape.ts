import type {FieldPath} from '../../firstboot/facts/fact.ts';
import {machineSchema} from '../../firstboot/sequence.ts';

import {makeJsonSchema} from './schema.ts';

/** What this program reads of a JSON Schema. */
export interface JsonSchema {
	type?: string;
	description?: string;
	default?: unknown;
	enum?: unknown[];
	const?: unknown;
	format?: string;
	pattern?: string;
	properties?: Record<string, JsonSchema>;
	required?: string[];
	items?: JsonSchema;
	additionalProperties?: JsonSchema | false;
	propertyNames?: JsonSchema;
	anyOf?: JsonSchema[];
}

let root: JsonSchema | undefined;

const branches = (schema: JsonSchema): JsonSchema[] => (schema.anyOf ? schema.anyOf.flatMap(branches) : [schema]);

function step(schema: JsonSchema, part: string | number): JsonSchema[] {
	if (typeof part === 'number') return schema.items ? branches(schema.items) : [];
	const {properties = {}, additionalProperties} = schema;
	if (Object.hasOwn(properties, part)) return branches(properties[part] as JsonSchema);
	return additionalProperties ? branches(additionalProperties) : [];
}

/** Whether a place is virtualization.domains.NAME.seed.machine, which holds sections of a machine of its own, or below it. */
const isOfSeed = ([section, , , seed, machine]: FieldPath) =>
	section === 'virtualization' && seed === 'seed' && machine === 'machine';

/** What the schema allows at a place of a profile, a branch of a union each; nothing where it knows no such place. */
export function findBranches(path: FieldPath): JsonSchema[] {
	root ??= makeJsonSchema() as JsonSchema;
	return (isOfSeed(path) && path.length > 5 ? path.slice(5) : path).reduce<JsonSchema[]>(
		(found, part) => found.flatMap(schema => step(schema, part)),
		[root],
	);
}

/** The names of the fields that a map may have at a place of a profile. */
export function listFields(path: FieldPath): string[] {
	if (isOfSeed(path) && path.length === 5) return Object.keys(machineSchema.shape);
	return findBranches(path).flatMap(({properties}) => Object.keys(properties ?? {}));
}

/** Where a value has fields that the schema does not know, as far as the schema knows the place. */
export function findStrays(path: FieldPath, value: unknown): FieldPath[] {
	if (typeof value !== 'object' || value === null) return [];
	const here = findBranches(path);
	const isKnown = here.some(({properties}) => properties) && here.every(({type, enum: values}) => type ?? values);
	const isSeed = isOfSeed(path) && path.length === 5;
	const entries: [string | number, unknown][] = Array.isArray(value) ? [...value.entries()] : Object.entries(value);
	return entries.flatMap(([name, part]) => {
		const own = [...path, name];
		const isStray = isSeed ? !listFields(path).includes(String(name)) : isKnown && findBranches(own).length === 0;
		return isStray ? [own] : findStrays(own, part);
	});
}
