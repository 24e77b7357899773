import {makeJsonSchema} from './schema.ts';
import type {JsonSchema} from './shape.ts';

/** A choice between maps: who changes from one to the other takes away the fields of the first. */
function loosenChoice(choice: readonly JsonSchema[]): JsonSchema[] {
	const names = choice.flatMap(({properties}) => Object.keys(properties ?? {}));
	const absent = Object.fromEntries(names.map(name => [name, {type: 'null'}]));
	return choice
		.map(loosen)
		.map(branch => (branch.properties ? {...branch, properties: {...absent, ...branch.properties}} : branch));
}

/** A schema of what may stand in a file: of a map only a part may, the rest being in the profile that it extends, and nothing takes a field away. */
function loosen({required: _, ...schema}: JsonSchema): JsonSchema {
	const {properties, additionalProperties, anyOf} = schema;
	return {
		...schema,
		...(properties
			? {properties: Object.fromEntries(Object.entries(properties).map(([name, field]) => [name, orNothing(field)]))}
			: {}),
		...(additionalProperties && Object.keys(additionalProperties).length > 0
			? {additionalProperties: orNothing(additionalProperties)}
			: {}),
		...(anyOf ? {anyOf: loosenChoice(anyOf)} : {}),
	};
}

function orNothing(schema: JsonSchema): JsonSchema {
	const {description, default: standard, ...rest} = loosen(schema);
	const told = {
		...(description === undefined ? {} : {description}),
		...(standard === undefined ? {} : {default: standard}),
	};
	return {...told, anyOf: [...(rest.anyOf && Object.keys(rest).length === 1 ? rest.anyOf : [rest]), {type: 'null'}]};
}

/** The JSON Schema for editors, which see one file: sections may be missing or empty where it extends another. */
export function makeEditorSchema(): Record<string, unknown> {
	const {required = [], ...schema} = makeJsonSchema() as JsonSchema;
	return {...loosen(schema), anyOf: [{required: ['extends']}, {required}]};
}
