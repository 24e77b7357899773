import {planStore} from './containerd.ts';
import {
	clusterSecrets,
	digestPath,
	type Family,
	formatOptions,
	type Kubernetes,
	k3sPath,
	listFamilies,
	startedPath,
} from './k3s.ts';
import {readK3sFiles} from './listing.ts';
import {type Probe, planFile, type Step} from './phase.ts';

interface IpAddress {
	ifname: string;
	addr_info: {
		family: string;
		local: string;
		scope: string;
		secondary?: boolean;
		temporary?: boolean;
		tentative?: boolean;
		deprecated?: boolean;
	}[];
}

const dummy = 'k3s-route';
const addressFile = '/etc/rancher/k3s/config.yaml.d/10-bringup-address.yaml';

/** The addresses of the node: one of each family that the pods have; where the profile does not say, the first IPv4 one, or IPv6. */
function findAddresses(links: readonly IpAddress[], {link, config}: Kubernetes): string[] {
	const own = links.find(({ifname}) => ifname === link)?.addr_info ?? [];
	const fit = own.filter(
		({scope, secondary, temporary, tentative, deprecated}) =>
			scope === 'global' && !secondary && !temporary && !tentative && !deprecated,
	);
	const first = (family: Family) => fit.find(one => one.family === family)?.local;
	const wanted = listFamilies(config['cluster-cidr']);
	const later = 'systemd starts K3s again in a few seconds';
	if (wanted.length === 0) {
		const found = first('inet') ?? first('inet6');
		if (found !== undefined) return [found];
		throw new Error(`${link} (kubernetes.link) has no address yet; ${later}`);
	}
	return wanted.map(family => {
		const found = first(family);
		if (found !== undefined) return found;
		const name = family === 'inet' ? 'IPv4' : 'IPv6';
		throw new Error(`${link} (kubernetes.link) has no ${name} address yet, and cluster-cidr has ${name}; ${later}`);
	});
}

interface IpRoute {
	dev?: string;
	/** Of a route that leads nowhere, such as unreachable. */
	type?: string;
}

/** Default routes that lead somewhere, of both families. */
async function readDefaultRoutes(probe: Probe): Promise<IpRoute[]> {
	const texts = await Promise.all(
		['-4', '-6'].map(family => probe.output(['ip', family, '-json', 'route', 'show', 'default'])),
	);
	const routes = texts.flatMap(text => JSON.parse(text) as IpRoute[]);
	return routes.filter(({type}) => type === undefined || type === 'unicast');
}

/**
 * K3s does not start without a default route. A dummy one has the highest metric, and not the 1000 of K3s's
 * documentation, which would come before the 1024 of a route that networkd gets by DHCP later. It goes again when there
 * is another one: beside a default route of IPv6, every connection that tries IPv4 first would wait for nothing.
 */
async function planRoute(links: readonly IpAddress[], probe: Probe): Promise<Step[]> {
	const routes = await readDefaultRoutes(probe);
	const found = links.find(({ifname}) => ifname === dummy);
	if (routes.some(({dev}) => dev !== dummy)) {
		const why = 'remove the default route that leads nowhere: there is another one';
		return found ? [{do: 'run', command: ['ip', 'link', 'delete', dummy], why}] : [];
	}
	if (routes.length > 0) return [];
	const why = 'for a default route that leads nowhere: K3s needs one, and there is none';
	const steps: Step[] = [];
	if (!found)
		steps.push({do: 'run', command: ['ip', 'link', 'add', dummy, 'type', 'dummy'], why: `make a link ${why}`});
	if (!found?.addr_info.some(({local}) => local === '203.0.113.254')) {
		const command = ['ip', 'address', 'add', '203.0.113.254/31', 'dev', dummy] as const;
		steps.push({do: 'run', command, why: `give ${dummy} an address ${why}`});
	}
	const via = ['via', '203.0.113.255', 'dev', dummy, 'metric', '4294967295'];
	return [
		...steps,
		{do: 'run', command: ['ip', 'link', 'set', dummy, 'up'], why: `bring ${dummy} up`},
		{do: 'run', command: ['ip', 'route', 'add', 'default', ...via], why: 'add the default route that leads nowhere'},
	];
}

async function checkVersion({version}: Kubernetes, probe: Probe): Promise<void> {
	if (version === undefined) return;
	const said = (await probe.output([k3sPath, '--version'])).split('\n')[0] ?? '';
	if (said.split(/\s+/).includes(version)) return;
	throw new Error(
		`kubernetes.version is ${version}, and kubernetes.binary says "${said}"; give the binary of that version`,
	);
}

/**
 * The steps before each start of K3s: what is known only then, the address and the default route, and what can only be
 * mended then, containerd's store. The unit runs them, so that they come at the right moment at every boot and restart,
 * without anybody waiting for it.
 */
export async function planStart(config: Kubernetes, probe: Probe): Promise<Step[]> {
	const token = `${clusterSecrets}/${config.role === 'server' ? 'token' : 'agent-token'}`;
	if (config.cluster !== undefined && (await probe.read(token)) === undefined)
		throw new Error(`the token of cluster ${config.cluster} is not in ${token}; build the medium again`);
	await checkVersion(config, probe);
	const links = JSON.parse(await probe.output(['ip', '-json', 'address', 'show'])) as IpAddress[];
	const addresses = findAddresses(links, config);
	const pinned = {
		'node-ip': addresses.join(','),
		...(config.role === 'server' ? {'advertise-address': addresses[0]} : {}),
	};
	const digest = (await probe.read(digestPath)) ?? '';
	return [
		...(await planRoute(links, probe)),
		...(await planFile(probe, addressFile, formatOptions(pinned), `pin the node to ${addresses.join(' and ')}`, 0o600)),
		...(await planStore(await readK3sFiles(probe), probe)),
		...(await planFile(probe, startedPath, digest, 'note what K3s is started with', 0o600)),
	];
}
