import {readFile, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {parse} from 'yaml';
import {withFolder} from '../../builder/folder.ts';
import {run} from '../../builder/run.ts';
import {formatTable} from '../nftables.ts';
import {firewallSchema, formatFirewall} from './firewall.ts';

/**
 * The machine in the middle, as flannel and K3s make it: a node and a thing beside it, a pod behind it. Port 80 of the
 * machine is handed on to port 8000 of the pod, 9090 to its 9000.
 */
const world = `set -e
mount -t tmpfs tmpfs /run
ip link set lo up
add() {
	ip netns add $1
	ip link add $2 type veth peer name eth0 netns $1
	ip address add $3.1/24 dev $2
	ip link set $2 up
	ip -n $1 address add $3.2/24 dev eth0
	ip -n $1 link set eth0 up
	ip -n $1 route add default via $3.1
}
add node br0 192.0.2
add thing iot 198.51.100
add pod cni0 10.42.0
echo 1 >/proc/sys/net/ipv4/ip_forward
nft -f table.nft
nft -f nat.nft
`;

const nat = `table ip k3s {
	chain prerouting {
		type nat hook prerouting priority dstnat;
		ip daddr { 192.0.2.1, 198.51.100.1 } tcp dport 80 dnat to 10.42.0.2:8000
		ip daddr { 192.0.2.1, 198.51.100.1 } tcp dport 9090 dnat to 10.42.0.2:9000
	}
}
`;

/** Answers on every port that is asked for; says when it does. */
const serve = `const [, , name, ...ports] = process.argv;
const ready = ports.map(port => new Promise(resolve =>
	require('node:net').createServer(socket => socket.end('x')).listen(port, '0.0.0.0', resolve)));
const udp = require('node:dgram').createSocket('udp4').on('message', (_, {port, address}) => udp.send('x', port, address));
ready.push(new Promise(resolve => udp.bind(8472, resolve)));
Promise.all(ready).then(() => require('node:fs').writeFileSync(name, ''));
`;

/** Prints what was answered of all that is asked for, a second and a half after it was. */
const ask = `for (const text of process.argv.slice(2)) {
	const [from, protocol, host, port] = text.split(' ');
	const say = () => console.log(text);
	if (protocol === 'udp') {
		const socket = require('node:dgram').createSocket('udp4').once('message', say);
		socket.send('x', port, host);
	} else require('node:net').connect(port, host).once('data', say).on('error', () => {});
}
setTimeout(() => process.exit(0), 1500);
`;

/** Which of these get through: from where, by which protocol, to which address and port. */
async function findOpen(allow: object, tries: readonly string[]): Promise<string[]> {
	return withFolder(tmpdir(), async folder => {
		const node = process.execPath;
		const firewall = firewallSchema.parse({
			zones: {lan: {links: ['br0']}, iot: {links: ['iot']}, pods: {links: ['cni0', 'flannel.1']}},
			allow,
		});
		const table = formatTable({family: 'inet', name: 'firewall', content: formatFirewall(firewall)});
		const files = {'table.nft': table, 'nat.nft': nat, 'serve.js': serve, 'ask.js': ask};
		for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
		const asks = ['node', 'thing', 'pod'].map(from => {
			const own = tries.filter(text => text.startsWith(`${from} `)).map(text => `'${text}'`);
			return `ip netns exec ${from} ${node} ask.js ${own.join(' ')} >${from}.txt &`;
		});
		const lines = [
			world,
			`${node} serve.js machine.ready 22 6443 10250 2379 2380 &`,
			`ip netns exec pod ${node} serve.js pod.ready 8000 9000 &`,
			'until [ -e machine.ready ] && [ -e pod.ready ]; do sleep 0.1; done',
			...asks.map((line, index) => `${line} p${index}=$!`),
			'wait $p0 $p1 $p2',
			'cat *.txt',
			'exit 0', // and all that runs in it ends with it
		];
		await writeFile(join(folder, 'run'), lines.join('\n'));
		const alone = [
			'unshare',
			'--user',
			'--map-root-user',
			'--net',
			'--mount',
			'--pid',
			'--fork',
			'--kill-child',
		] as const;
		const path = `/usr/sbin:/sbin:${process.env['PATH']}`;
		const output = (await run([...alone, '/bin/sh', 'run'], {cwd: folder, env: {PATH: path}})).split('\n');
		return tries.filter(text => output.includes(text));
	});
}

const own = ['node tcp 192.0.2.1 22', 'node tcp 192.0.2.1 10250', 'node udp 192.0.2.1 8472'];
const handedOn = [
	'node tcp 192.0.2.1 80',
	'node tcp 192.0.2.1 9090',
	'thing tcp 198.51.100.1 80',
	'thing tcp 198.51.100.1 9090',
];
const inside = ['node tcp 10.42.0.2 8000', 'thing tcp 10.42.0.2 8000'];
const ssh = {from: 'lan', to: 'machine', protocol: 'tcp', ports: [22]};

test('packets: a port that is handed on to a pod is open where it is open on the machine, and nowhere else', async t => {
	const web = {from: 'lan', to: 'machine', protocol: 'tcp', ports: [80]};
	const tries = [...own, ...handedOn, ...inside];
	t.deepEqual(await findOpen({ssh}, tries), ['node tcp 192.0.2.1 22']);
	t.deepEqual(await findOpen({ssh, web}, tries), ['node tcp 192.0.2.1 22', 'node tcp 192.0.2.1 80']);
	t.deepEqual(await findOpen({ssh, web: {...web, from: 'any', sources: ['198.51.100.0/24']}}, tries), [
		'node tcp 192.0.2.1 22',
		'thing tcp 198.51.100.1 80',
	]);
	t.deepEqual(await findOpen({ssh, web: {from: 'lan', to: 'machine', ports: ['9000-9099']}}, tries), [
		'node tcp 192.0.2.1 22',
		'node tcp 192.0.2.1 9090',
	]);
});

test('packets: with the shipped profile a further node reaches what it must, and a thing does not', async t => {
	const {allow} = (parse(await readFile('profiles/node.yaml', 'utf8')) as {firewall: {allow: object}}).firewall;
	const nodes = ['tcp 6443', 'tcp 10250', 'tcp 2379', 'tcp 2380', 'udp 8472', 'tcp 80'].map(text => {
		const [protocol, port] = text.split(' ');
		return [`node ${protocol} 192.0.2.1 ${port}`, `thing ${protocol} 198.51.100.1 ${port}`];
	});
	const tries = [...nodes.flat(), 'pod tcp 10.42.0.1 6443', ...inside];
	t.deepEqual(await findOpen(allow, tries), [...nodes.map(([from = '']) => from), 'pod tcp 10.42.0.1 6443']);
});
