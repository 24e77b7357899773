import {type ContainerUser, formatUnits, kindOf, serviceOf} from '../sequence.ts';
import type {FalseFact, FieldPath, Sections} from './fact.ts';
import {findAccountFault} from './identity.ts';

type Unit = ContainerUser['units'][string];

const listOf = (unit: Unit, section: string, key: string) => [unit[section]?.[key] ?? []].flat().map(String);

/** Why podman would find no such image, or undefined. */
function findImageFault(image: string, user: ContainerUser): string | undefined {
	if (Object.hasOwn(user.images, image) || /^sha256:|^[0-9a-f]{64}$/.test(image)) return undefined;
	if (/\.(image|build)$/.test(image))
		return Object.hasOwn(user.units, image) ? undefined : `there is no unit ${image}; add it to units`;
	const [registry = '', ...rest] = image.split('/');
	if (registry === 'localhost') return `${image} is in no registry; name its archive under images`;
	if (rest.length === 0 || !/[.:]/.test(registry))
		return `${image} names no registry; write the whole name, such as registry.example/${image}, or name its archive under images`;
	return undefined;
}

function checkUnit(file: string, unit: Unit, user: ContainerUser, path: FieldPath): FalseFact[] {
	const own = kindOf(file)?.section ?? '';
	const known = [own, 'Unit', 'Service', 'Install', 'Quadlet'];
	const faults = Object.keys(unit)
		.filter(section => !known.includes(section) && !section.startsWith('X-'))
		.map(section => ({
			path: [...path, section],
			message: `${file} has no section ${section}, Quadlet would pass over it; there are ${known.join(', ')}`,
		}));
	const values: [key: string, why: (value: string) => string | undefined][] = [
		['Image', value => (own === 'Container' ? findImageFault(value, user) : undefined)],
		[
			'Secret',
			value =>
				Object.hasOwn(user.secrets, value.split(',')[0] ?? '')
					? undefined
					: `there is no secret ${value.split(',')[0]} in secrets`,
		],
		[
			'Yaml',
			value =>
				value.startsWith('/') || Object.hasOwn(user.files, value) ? undefined : `there is no file ${value} in files`,
		],
	];
	const wrong = values.flatMap(([key, why]) =>
		listOf(unit, own, key).flatMap(value => {
			const message = why(value);
			return message === undefined ? [] : [{path: [...path, own, key], message}];
		}),
	);
	return [...faults, ...wrong];
}

function checkServices(user: ContainerUser, path: FieldPath): FalseFact[] {
	const services = [...formatUnits(user)].map(([file, text]) => ({file, service: serviceOf(file, text)}));
	return services.flatMap(({file, service}, index) => {
		const other = services.slice(0, index).find(earlier => earlier.service === service);
		if (!other) return [];
		return [{path: [...path, file], message: `makes ${service}, as ${other.file} does; name one of them otherwise`}];
	});
}

/** What the schema of `containers` cannot see. What is in the units is for Quadlet to judge, when the medium is built. */
export function checkContainers({containers, identity, debian}: Sections): FalseFact[] {
	if (!containers) return [];
	const faults: FalseFact[] = [];
	if (debian?.release === 'bookworm')
		faults.push({
			path: ['containers'],
			message: 'Debian 12 has podman 4.3, which knows no Quadlet; set debian.release: trixie, or remove the section',
		});
	const users = Object.entries(containers.users);
	users.forEach(([name, user], index) => {
		const path = ['containers', 'users', name];
		const twin = users.slice(0, index).find(([, {uid}]) => uid === user.uid);
		if (twin) faults.push({path: [...path, 'uid'], message: `${user.uid} is the uid of ${twin[0]} already`});
		if (identity?.users.some(other => other.name === name))
			faults.push({path, message: `${name} may log in (identity.users); containers run as a user of their own`});
		const taken = findAccountFault(name);
		if (taken !== undefined) faults.push({path, message: taken});
		faults.push(...checkServices(user, [...path, 'units']));
		for (const [file, unit] of Object.entries(user.units))
			faults.push(...checkUnit(file, unit, user, [...path, 'units', file]));
	});
	return faults;
}
