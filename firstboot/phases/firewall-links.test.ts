import {mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {machineProbe} from '../apply.ts';
import {formatTable} from '../nftables.ts';
import {firewallSchema, formatFirewall} from './firewall.ts';

const config = firewallSchema.parse({
	zones: {lan: {links: ['br0']}, iot: {links: ['iot']}, pods: {links: ['cni0']}},
	allow: {
		web: {from: 'lan', to: 'machine', protocol: 'tcp', ports: [8080]},
		near: {from: 'lan', to: 'machine', protocol: 'tcp', ports: [8081], sources: ['192.0.2.128/25']},
		things: {from: 'lan', to: 'iot'},
	},
});

/** Every network is one client behind one link of the machine. K3s and podman hand ports on by DNAT; libvirt masquerades. */
const networks = {
	br0: '192.0.2',
	iot: '198.51.100',
	cni0: '10.42.0',
	virbr0: '192.168.122',
	spare: '203.0.113',
	wg0: '10.9.0',
};

const others = `table ip others {
	chain published {
		type nat hook prerouting priority dstnat;
		iifname "br0" tcp dport { 8080, 8081, 9090 } dnat to 10.42.0.2:80
	}
}
`;

const server =
	"require('net').createServer(socket => socket.end()).listen(80).on('listening', () => console.error('up'))";

function makeScript(folder: string): string {
	const lines = Object.entries(networks).map(
		([link, net]) => `ip netns add ${link}
ip link add ${link} type veth peer name eth0 netns ${link}
ip address add ${net}.1/24 dev ${link}
ip link set ${link} up
ip -n ${link} link set eth0 up
ip -n ${link} address add ${net}.2/24 dev eth0
ip -n ${link} route add default via ${net}.1`,
	);
	return `set -e
mount -t tmpfs tmpfs /run
${lines.join('\n')}
echo 1 >/proc/sys/net/ipv4/ip_forward
nft --file ${folder}/others.nft
nft --file ${folder}/table.nft
for name in br0 iot cni0 virbr0; do
	ip netns exec $name ${process.execPath} -e "${server}" 2>${folder}/$name &
	tries=0
	until [ -s ${folder}/$name ] || [ $tries = 50 ]; do sleep 0.1; tries=$((tries + 1)); done
done
open() {
	if ip netns exec $1 timeout 1 bash -c "exec 3<>/dev/tcp/$2/$3" 2>/dev/null; then echo "$1 to $2: $3 open"; else echo "$1 to $2: $3 shut"; fi
}
open br0 198.51.100.2 80
open iot 192.0.2.2 80
open spare 198.51.100.2 80
open spare 192.0.2.2 80
open wg0 192.0.2.2 80
open virbr0 192.0.2.2 80
open br0 192.168.122.2 80
open br0 192.0.2.1 8080
open br0 192.0.2.1 8081
open br0 192.0.2.1 9090
kill $(jobs -p)
`;
}

test('packets pass between links as the zones say, and from a link in no zone nowhere', async t => {
	const folder = await mkdtemp(join(tmpdir(), 'bringup-packets-'));
	try {
		const table = {family: 'inet', name: 'firewall', content: formatFirewall(config)} as const;
		await writeFile(join(folder, 'table.nft'), formatTable(table));
		await writeFile(join(folder, 'others.nft'), others);
		await writeFile(join(folder, 'run'), makeScript(folder));
		const inside = ['unshare', '--user', '--map-root-user', '--net', '--mount', 'bash', join(folder, 'run')] as const;
		t.deepEqual((await machineProbe.output(inside)).trim().split('\n'), [
			'br0 to 198.51.100.2: 80 open',
			'iot to 192.0.2.2: 80 shut',
			'spare to 198.51.100.2: 80 shut',
			'spare to 192.0.2.2: 80 shut',
			'wg0 to 192.0.2.2: 80 shut',
			'virbr0 to 192.0.2.2: 80 open',
			'br0 to 192.168.122.2: 80 shut',
			'br0 to 192.0.2.1: 8080 open',
			'br0 to 192.0.2.1: 8081 shut',
			'br0 to 192.0.2.1: 9090 shut',
		]);
	} finally {
		await rm(folder, {recursive: true});
	}
});
