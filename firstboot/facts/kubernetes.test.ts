import test from 'ava';
import {kubernetesSchema} from '../sequence.ts';
import {checkKubernetes, type Surroundings} from './kubernetes.ts';

const binary = {asset: {url: 'https://mirror.example/k3s', sha256: 'b'.repeat(64)}};
const check = (fields: object, surroundings: Surroundings = {}) =>
	checkKubernetes(kubernetesSchema.parse({role: 'server', cluster: 'home', binary, ...fields}), surroundings).map(
		({path, message}) => `${path.join('.')}: ${message}`,
	);
const join = 'https://192.0.2.11:6443';

test('one server, the first and a further one of three, and an agent are right', t => {
	for (const fields of [{}, {servers: 3}, {servers: 3, server: join}, {role: 'agent', server: join}])
		t.deepEqual(check(fields), [], JSON.stringify(fields));
});

test('an even number of servers stands the loss of no more', t => {
	t.deepEqual(check({servers: 4}), [
		'kubernetes.servers: 4 servers stand the loss of no more than 3 do; give an odd number',
	]);
	t.regex(check({server: join})[0] ?? '', /^kubernetes\.servers: .*such as 3$/);
});

test('an agent needs a server, and applies no manifests', t => {
	const faults = check({role: 'agent', manifests: {'a.yaml': 'a: 1\n'}});
	t.regex(faults[0] ?? '', /^kubernetes: .*server: https:\/\/192\.0\.2\.11:6443/);
	t.regex(faults[1] ?? '', /^kubernetes\.manifests: only a server/);
});

test('an option that bringup sets is refused, another is not', t => {
	t.deepEqual(check({config: {disable: ['traefik'], 'node-ip': '192.0.2.1'}}), [
		'kubernetes.config.node-ip: bringup sets node-ip itself, from the fields beside config; remove it',
	]);
});

test('a firewall without a zone for the pods would drop what they send', t => {
	t.regex(check({}, {firewall: {zones: {lan: {links: ['br0']}}}})[0] ?? '', /add cni0 and flannel\.1/);
	t.deepEqual(check({}, {firewall: {zones: {pods: {links: ['cni0', 'flannel.1']}}}}), []);
});
