import {isIPv6} from 'node:net';
import {splitCidr, subnetHolds} from '../sequence.ts';
import type {FalseFact, FieldPath, Sections} from './fact.ts';

type Layer3 = NonNullable<Sections['network']>['links'][string];

/** A link with its place in the profile. */
export interface Named {
	name: string;
	path: FieldPath;
	link: Layer3;
}

/** An address of the link itself: every neighbour has one, whatever the subnets are. */
const isLinkLocal = (address: string) => isIPv6(address) && subnetHolds('fe80::/10', address);

/** Why a link with these addresses does not reach a gateway, or undefined when it does. */
export function findLost({addresses, routes}: Layer3, via: string): string | undefined {
	if (typeof addresses !== 'object') return undefined;
	if (addresses.some(cidr => splitCidr(cidr).address === via)) return 'is an address of the machine itself';
	const six = addresses.some(cidr => isIPv6(splitCidr(cidr).address));
	if (isLinkLocal(via)) return six ? undefined : `is of IPv6, and ${addresses.join(', ')} is not`;
	const near = [...addresses, ...routes.flatMap(route => (route.via === undefined ? [route.to] : []))];
	if (near.some(cidr => subnetHolds(cidr, via))) return undefined;
	return `lies in no subnet of ${addresses.join(', ')}. If it is on this link all the same, say so: routes: [{to: "${via}/${isIPv6(via) ? 128 : 32}"}]`;
}

function checkGateways({link, path}: Named): FalseFact[] {
	const {addresses, gateway} = link;
	if (gateway.length === 0) return [];
	const at = [...path, 'gateway'];
	if (typeof addresses !== 'object') {
		const message =
			addresses === undefined
				? 'needs addresses beside it'
				: 'with dhcp the gateway comes from the lease; remove it, or give static addresses';
		return [{path: at, message}];
	}
	return gateway.flatMap(via => {
		const message = findLost(link, via);
		return message === undefined ? [] : [{path: at, message}];
	});
}

function checkRoutes({link, path}: Named): FalseFact[] {
	return link.routes.flatMap(({to, via}, index) => {
		if (via === undefined) return [];
		const at = [...path, 'routes', index, 'via'];
		if (splitCidr(to).family === 'ipv6' && !isIPv6(via)) return [{path: at, message: `is of IPv4, and ${to} is not`}];
		const message = findLost(link, via);
		return message === undefined ? [] : [{path: at, message}];
	});
}

/** Every default route that the profile sets, with its family and metric. */
function listDefaults({name, path, link}: Named) {
	const own = link.gateway.map(via => ({name, path: [...path, 'gateway'], six: isIPv6(via), metric: undefined}));
	const routes = link.routes.flatMap(({to, metric}, index) =>
		splitCidr(to).prefix === 0
			? [{name, path: [...path, 'routes', index], six: splitCidr(to).family === 'ipv6', metric}]
			: [],
	);
	return [...own, ...routes];
}

function checkDefaults(named: readonly Named[]): FalseFact[] {
	const all = named.flatMap(listDefaults);
	return all.flatMap(({name, path, six, metric}, index) => {
		const earlier = all.slice(0, index).find(other => other.six === six && other.metric === metric);
		if (!earlier) return [];
		const family = six ? 'IPv6' : 'IPv4';
		const message = `${earlier.name} has a default gateway of ${family} already${name === earlier.name ? '' : `, and what comes in over ${name} would leave by one of the two`}; take one away, or give the way that is used second as a route with a metric`;
		return [{path, message}];
	});
}

/** What is wrong with the gateways and routes of all links. */
export function checkAllRoutes(named: readonly Named[]): FalseFact[] {
	return [...named.flatMap(link => [...checkGateways(link), ...checkRoutes(link)]), ...checkDefaults(named)];
}
