import {writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {withFolder} from '../builder/folder.ts';
import {run} from '../builder/run.ts';
import {formatTable} from './nftables.ts';
import {renderSpoofing} from './spoofing.ts';
import {placeDomains, virtualizationSchema} from './virtualization.ts';

/** A guest and another one on a bridge; whatever comes from the guest's device passes the rules. */
const world = `set -e
mount -t tmpfs tmpfs /run
ip link add br0 type bridge
ip link set br0 up
for name in guest other; do
	ip netns add $name
	ip link add $name-0 type veth peer name eth0 netns $name
	ip link set $name-0 master br0 up
	ip -n $name link set eth0 up
done
nft -f table.nft
ip netns exec guest python3 frames.py &
ip netns exec other python3 frames.py listen
`;

/** Sends a frame of each name, again and again; the other side says which have come. */
const frames = `
import socket, struct, sys, time, json
frames = {name: bytes.fromhex(text) for name, text in json.load(open('frames.json')).items()}
raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
raw.bind(('eth0', 0))
if len(sys.argv) > 1:
    open('ready', 'w').close()
    raw.settimeout(0.2)
    end, seen = time.time() + 20, set()
    while time.time() < end and 'end' not in seen:
        try: data, peer = raw.recvfrom(2000)
        except socket.timeout: continue
        seen.update(name for name, frame in frames.items() if data[:len(frame)] == frame)
    print(' '.join(name for name in frames if name in seen))
else:
    import os
    while not os.path.exists('ready'): time.sleep(0.05)
    for turn in range(40):
        for name, frame in frames.items():
            if name != 'end' or turn > 3: raw.send(frame)
        time.sleep(0.05)
`;

const hex = (text: string) => text.replace(/[^0-9a-f]/gi, '');
const mac = '52:54:00:00:00:0b';
const payload = '0123456789abcdef';

function frame(type: string, content: string, from = mac): string {
	return `${hex('ff:ff:ff:ff:ff:ff')}${hex(from)}${type}${content}`;
}
const word = (value: number) => value.toString(16).padStart(4, '0');
const v4 = (from: string) =>
	from
		.split('.')
		.map(part => Number(part).toString(16).padStart(2, '0'))
		.join('');
const udp = (source: number, port: number) => `${word(source)}${word(port)}${word(16)}0000${payload}`;

/** With its checksum: bridges drop a header that has another. */
function ip4(from: string, content: string): string {
	const header = `4500${word(20 + content.length / 2)}000000004011${v4(from)}${v4('192.0.2.12')}`;
	const sum = (header.match(/.{4}/g) ?? []).reduce((total, part) => total + Number.parseInt(part, 16), 0);
	const checksum = word(0xffff ^ ((sum & 0xffff) + (sum >> 16)));
	return frame('0800', `${header.slice(0, 20)}${checksum}${header.slice(20)}${content}`);
}
const linkLocal = `fe80${'00'.repeat(13)}0b`;
const ip6 = (next: number, content: string) =>
	`60000000${word(content.length / 2)}${next.toString(16).padStart(2, '0')}ff${linkLocal}ff02${'00'.repeat(13)}01${content}`;
const icmp6 = (type: number) => ip6(58, `${type.toString(16).padStart(2, '0')}000000${'00'.repeat(20)}`);
const hopByHop = (type: number) => ip6(0, `3a00050200000000${icmp6(type).slice(80)}`);
const tag = (vlan: number, type: string, content: string) => frame('8100', `${word(vlan)}${type}${content}`);

const all = {
	plain: ip4('192.0.2.11', udp(5000, 5001)),
	'to-dhcp-server': ip4('0.0.0.0', udp(68, 67)),
	'echo-request': frame('86dd', icmp6(128)),
	'router-solicit': frame('86dd', icmp6(133)),
	'dhcp-offer': ip4('192.0.2.11', udp(67, 68)),
	'dhcp-offer-of-another-port': ip4('192.0.2.11', udp(4000, 68)),
	dhcpv6: frame('86dd', ip6(17, udp(547, 546))),
	'router-advert': frame('86dd', icmp6(134)),
	'router-advert-behind-options': frame('86dd', hopByHop(134)),
	redirect: frame('86dd', icmp6(137)),
	'router-advert-in-vlan-0': tag(0, '86dd', icmp6(134)),
	'router-advert-in-vlan-5': tag(5, '86dd', icmp6(134)),
	'of-another-mac': frame('86dd', icmp6(128), '52:54:00:00:00:99'),
	'of-another-address': ip4('192.0.2.99', udp(5000, 5001)),
	end: frame('86dd', icmp6(129)),
};

async function findPassed(link: object): Promise<string[]> {
	return withFolder(tmpdir(), async folder => {
		const networks = [{network: 'lan', mac, ...link}];
		const domain = {cpus: 1, memory: '1G', disks: [{pool: 'images', size: '1G'}], networks};
		const placed = placeDomains(virtualizationSchema.parse({domains: {guest: domain}}), '0'.repeat(32));
		const table = formatTable(renderSpoofing(placed));
		const files = {'table.nft': table, 'frames.py': frames, 'frames.json': JSON.stringify(all), run: world};
		for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
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
		return (await run([...alone, '/bin/sh', 'run'], {cwd: folder, env: {PATH: path}})).trim().split(' ');
	});
}

const honest = ['plain', 'to-dhcp-server', 'echo-request', 'router-solicit'];

test('packets: a guest may not act as a router or as a DHCP server, whatever is known of its addresses', async t => {
	t.deepEqual(await findPassed({addresses: ['192.0.2.11/24']}), [...honest, 'end']);
	t.deepEqual(await findPassed({}), [...honest, 'of-another-address', 'end']);
});

test('packets: what is dropped there passes where the guest is trusted', async t => {
	const passed = await findPassed({antiSpoofing: false});
	for (const name of ['dhcp-offer', 'dhcpv6', 'router-advert', 'redirect', 'of-another-mac'])
		t.true(passed.includes(name), name);
});
