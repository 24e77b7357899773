import {assetPath, assetsFolder, planAssets} from '../assets.ts';
import {readStoreFault} from '../containerd.ts';
import {
	authorityFiles,
	clusterSecrets,
	dataFolder,
	digestPath,
	digestStart,
	formatConfig,
	formatUnit,
	isPlaced,
	type Kubernetes,
	k3sPath,
	type kubernetesSchema,
	listAssets,
	startedPath,
	unitOf,
} from '../k3s.ts';
import {planGiven, planNoK3s, planNoUnit, registriesPath, removeLeft} from '../k3s-left.ts';
import {planCopy, readK3sFiles} from '../listing.ts';
import {type Listed, type Phase, type Probe, planFile, readUnit, type Step, secret, secretPath} from '../phase.ts';

type Files = ReadonlyMap<string, Listed>;

const imagesFolder = `${dataFolder}/agent/images`;
const manifestsFolder = `${dataFolder}/server/manifests`;
/** For which start of K3s the node was seen Ready, and its images complete. */
const seenPath = '/var/lib/bringup/k3s.seen';

function planNames(files: Files): Step[] {
	return ['kubectl', 'crictl', 'ctr']
		.map(name => `/usr/local/bin/${name}`)
		.filter(path => !files.has(path))
		.map(path => ({do: 'run', command: ['ln', '--symbolic', 'k3s', path], why: `let ${path} be k3s`}));
}

/** Archives are symbolic links to the assets: no second copy of them, and what is ours is known from what is not. */
function planImages({images}: Kubernetes, files: Files): Step[] {
	const wanted = new Map(Object.entries(images).map(([name, asset]) => [`${imagesFolder}/${name}`, assetPath(asset)]));
	const old = [...files].filter(
		([path, {target}]) =>
			path.startsWith(`${imagesFolder}/`) && target.startsWith(`${assetsFolder}/`) && !wanted.has(path),
	);
	const missing = [...wanted].filter(([path, asset]) => files.get(path)?.target !== asset);
	const folder: Step = {do: 'run', command: ['mkdir', '--parents', imagesFolder], why: `make ${imagesFolder}`};
	return [
		...old.map(
			([path]): Step => ({do: 'run', command: ['rm', path], why: `remove ${path}, which is not in the profile`}),
		),
		...(missing.length > 0 && !files.has(imagesFolder) ? [folder] : []),
		...missing.map(([path, asset]): Step => {
			const command = ['ln', '--symbolic', '--force', '--no-dereference', asset, path] as const;
			return {do: 'run', command, why: `give K3s the images of ${path}`};
		}),
	];
}

/** The cluster's authorities, before the first start of its first server only: a cluster that lives is never given others. */
async function planAuthorities({role, server, cluster}: Kubernetes, files: Files, probe: Probe): Promise<Step[]> {
	const folder = `${dataFolder}/server`;
	const begun = ['cred', 'db', 'token'].some(name => files.has(`${folder}/${name}`));
	if (role !== 'server' || server !== undefined || cluster === undefined || begun) return [];
	const steps: Step[] = [];
	if (!files.has(folder)) {
		const command = ['install', '--directory', '--mode=0700', folder] as const;
		steps.push({do: 'run', command, why: `make ${folder}`});
	}
	for (const name of authorityFiles) {
		const content = await probe.read(`${clusterSecrets}/tls/${name}`);
		if (content === undefined)
			throw new Error(`${name} of cluster ${cluster} is not in ${clusterSecrets}; build the medium again`);
		const why = `give the cluster ${cluster} its ${name}`;
		steps.push(...(await planFile(probe, `${folder}/tls/${name}`, content, why, 0o600)));
	}
	return steps;
}

async function planManifests({manifests}: Kubernetes, files: Files, probe: Probe): Promise<Step[]> {
	const steps: Step[] = [];
	for (const [name, manifest] of Object.entries(manifests)) {
		const path = `${manifestsFolder}/${name}`;
		steps.push(
			...(typeof manifest === 'string'
				? await planFile(probe, path, manifest, `write the manifest ${name}`, 0o600)
				: await planCopy(files, manifest, path, '0600', probe)),
		);
	}
	return steps;
}

/** The value with every secret in it in its place. */
async function fillSecrets(value: unknown, probe: Probe): Promise<unknown> {
	const {success, data} = secret.safeParse(value);
	if (success) {
		const text = await probe.read(secretPath(data));
		if (text === undefined) throw new Error(`a secret of kubernetes.registries is missing; build the medium again`);
		return text.trimEnd();
	}
	if (Array.isArray(value)) return Promise.all(value.map(item => fillSecrets(item, probe)));
	if (typeof value !== 'object' || value === null) return value;
	const entries = Object.entries(value).map(async ([key, item]) => [key, await fillSecrets(item, probe)] as const);
	return Object.fromEntries(await Promise.all(entries));
}

/** The names of the images in the archives; undefined while one is still to be fetched. Of an archive that says none, K3s's word counts. */
async function readImageNames({images}: Kubernetes, files: Files, probe: Probe): Promise<string[] | undefined> {
	const paths = Object.values(images).map(assetPath);
	if (!paths.every(path => files.has(path))) return undefined;
	const names: string[] = [];
	for (const path of paths) {
		const command = ['tar', '--extract', '--to-stdout', '--occurrence=1', `--file=${path}`, 'manifest.json'] as const;
		const manifest = await probe.output(command).catch(() => '[]');
		for (const {RepoTags} of JSON.parse(manifest) as {RepoTags?: string[] | null}[]) names.push(...(RepoTags ?? []));
	}
	return names;
}

async function planReady(config: Kubernetes, probe: Probe): Promise<Step> {
	const name = config.nodeName ?? ((await probe.read('/proc/sys/kernel/hostname')) ?? '').trim().toLowerCase();
	const kubeconfig = config.role === 'server' ? '/etc/rancher/k3s/k3s.yaml' : `${dataFolder}/agent/kubelet.kubeconfig`;
	const condition = ['--for=condition=Ready', '--timeout=20s', `node/${name}`];
	return {
		do: 'wait',
		until: [k3sPath, 'kubectl', `--kubeconfig=${kubeconfig}`, 'wait', ...condition],
		seconds: 900,
		why: `wait until the node ${name} is Ready (journalctl --unit=${unitOf(config)} says what it is at)`,
	};
}

interface Service {
	enabled: boolean;
	stale: boolean;
	/** It runs, or is about to. */
	runs: boolean;
	/** It runs, and has done so since before this boot's files were looked at. */
	active: boolean;
	/** It fails again and again. */
	stuck: boolean;
}

async function readService(unit: string, probe: Probe): Promise<Service> {
	const {enabled} = await readUnit(probe, unit);
	const properties = '--property=ActiveState,SubState,NRestarts,NeedDaemonReload,Job';
	const shown = await probe.output(['systemctl', 'show', properties, unit]);
	const of = (name: string) => new RegExp(`^${name}=(.*)$`, 'm').exec(shown)?.[1] ?? '';
	const state = of('ActiveState');
	return {
		enabled,
		stale: of('NeedDaemonReload') === 'yes',
		runs: ['active', 'activating', 'reloading'].includes(state) || of('Job') !== '',
		active: state === 'active',
		stuck: state === 'failed' || (of('SubState') === 'auto-restart' && Number(of('NRestarts')) >= 3),
	};
}

/** From the files as they will be to a node that is Ready, with every image. */
async function planRunning(
	config: Kubernetes,
	digest: string,
	changed: ReadonlySet<string>,
	files: Files,
	probe: Probe,
): Promise<Step[]> {
	const unit = unitOf(config);
	const {enabled, stale, runs, active, stuck} = await readService(unit, probe);
	const started = (await probe.read(startedPath))?.trim();
	const fault = await readStoreFault(files, probe);
	const outdated = started === undefined ? active : started !== digest;
	const restart = !runs || outdated || changed.has(digestPath) || fault !== undefined;
	const seen = fault === undefined ? (await probe.read(seenPath))?.trim() : undefined;
	const steps: Step[] = [];
	if (stale || changed.has(`/etc/systemd/system/${unit}`))
		steps.push({do: 'run', command: ['systemctl', 'daemon-reload'], why: `let systemd read ${unit}`});
	if (!enabled) steps.push({do: 'run', command: ['systemctl', 'enable', unit], why: `start ${unit} at every boot`});
	if (restart) {
		// Without --no-block it would wait for a server that is perhaps not there yet, without a limit.
		const why = fault === undefined ? `start ${unit}` : `start ${unit}, which makes containerd's store anew (${fault})`;
		steps.push({do: 'run', command: ['systemctl', 'restart', '--no-block', unit], why});
	}
	if (restart || stuck || !seen?.startsWith(digest)) steps.push(await planReady(config, probe));
	if (seen === `${digest} complete`) return steps;
	const names = await readImageNames(config, files, probe);
	if (names && names.length > 0) {
		const until = [k3sPath, 'crictl', 'inspecti', '--quiet', ...names] as const;
		steps.push({do: 'wait', until, seconds: 900, why: `wait until containerd has ${names.length} images`});
	}
	const content = `${digest} ${names ? 'complete' : 'ready'}\n`;
	return [...steps, ...(await planFile(probe, seenPath, content, 'note that the node was complete'))];
}

/** From what the medium brought to all that is not the node's own. */
async function planBrought(config: Kubernetes, files: Files, probe: Probe): Promise<Step[]> {
	return [
		...(await planAssets(listAssets(config), probe)),
		...(await planCopy(files, config.binary, k3sPath, '0755', probe)),
		...planNames(files),
		...planImages(config, files),
	];
}

/** K3s, from files that the medium brought to a node that is Ready. */
export const kubernetes: Phase<typeof kubernetesSchema> = {
	packages: ['ca-certificates', 'coreutils', 'findutils', 'iproute2', 'kmod', 'systemd', 'tar', 'zstd'],
	async plan(config, probe) {
		const files = await readK3sFiles(probe);
		if (!isPlaced(config)) return planBrought(config, files, probe);
		const resolved = (await probe.read('/usr/lib/systemd/system/systemd-resolved.service')) !== undefined;
		const registries =
			config.registries && `${JSON.stringify(await fillSecrets(config.registries, probe), undefined, 2)}\n`;
		const unit = formatUnit(config);
		const options = formatConfig(config, resolved);
		const digest = digestStart(config, [unit, options, registries]);
		const manifests = Object.keys(config.manifests).map(name => `${manifestsFolder}/${name}`);
		const given = await planGiven([...manifests, ...(registries ? [registriesPath] : [])], probe);
		const hasRegistries = (await probe.read(registriesPath)) !== undefined;
		const other = config.role === 'server' ? 'agent' : 'server';
		const steps = [
			...(await planNoUnit(
				other,
				`as this machine is ${config.role === 'server' ? 'a server' : 'an agent'} now`,
				probe,
			)),
			...(await planBrought(config, files, probe)),
			...given.before,
			...(await planAuthorities(config, files, probe)),
			...(await planManifests(config, files, probe)),
			...(await planFile(probe, '/etc/rancher/k3s/config.yaml', options, 'configure K3s', 0o600)),
			...(registries ? await planFile(probe, registriesPath, registries, 'configure the registries', 0o600) : []),
			...removeLeft(given, path => (path === registriesPath ? hasRegistries : files.has(path))),
			...(await planFile(probe, `/etc/systemd/system/${unitOf(config)}`, unit, `write ${unitOf(config)}`)),
			// The last of the files: what it names is in place.
			...(await planFile(probe, digestPath, `${digest}\n`, 'note what K3s shall be started with', 0o600)),
		];
		const changed = new Set(steps.map(step => (step.do === 'write' ? step.path : '')));
		return [...steps, ...(await planRunning(config, digest, changed, files, probe))];
	},
	absent: planNoK3s,
};

/** What of it an image may have: nothing that tells one node from another, and K3s has not run. */
export const kubernetesFiles: Phase<typeof kubernetesSchema> = {
	...kubernetes,
	plan: async (config, probe) => planBrought(config, await readK3sFiles(probe), probe),
};
