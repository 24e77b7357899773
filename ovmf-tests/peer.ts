import {mkdir, readdir, readFile, rm, writeFile} from 'node:fs/promises';
import {basename, join} from 'node:path';
import {run} from '../builder/run.ts';
import {folder} from './vm.ts';
import {fetchBusybox} from './web-image.ts';

/** Of the card that is on the wire. */
export const peerMac = '52:54:00:62:75:03';

/** What a second machine on the same wire sees, one line each. */
const script = `#!/peer/busybox sh
b=/peer/busybox
$b mkdir -p /proc /sys /dev
$b mount -t proc proc /proc
$b mount -t sysfs sysfs /sys
$b mount -t devtmpfs dev /dev
exec >/dev/ttyS0 2>&1 </dev/null
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
modprobe virtio_pci; modprobe virtio_net
for module in $($b cat /peer/order); do $b insmod /peer/$module; done
$b sleep 1
$b ip link set lo up
# Of its two cards the one on the wire.
wire=$($b grep -l ${peerMac} /sys/class/net/*/address | $b cut -d / -f 5)
$b ip link set $wire up
for id in 20 30 99; do
	$b ip link add link $wire name v$id type vlan id $id || say "no VLAN $id"
	$b ip link set v$id up
done
$b ip address add 10.0.2.77/24 dev $wire
say() { echo "peer: $1"; }
reach() { if $b ping -c 2 -W 3 -I $2 $3 >/dev/null; then say "$1: answers"; else say "$1: silence"; fi; }
open() { if $b nc -w 4 $2 $3 </dev/null >/dev/null; then say "$1: open"; else say "$1: shut"; fi; }
say begins
open 'SSH from the LAN' 10.0.2.15 22
open 'another port from the LAN' 10.0.2.15 9100
say "page from the LAN: $($b printf 'GET / HTTP/1.0\\r\\n\\r\\n' | $b nc -w 10 10.0.2.15 8080 | $b tail -n 1)"
for id in 30 20 99; do
	$b ip address add 198.51.100.50/24 dev v$id
	reach "gateway from VLAN $id" v$id 198.51.100.1
	[ $id != 30 ] || open 'SSH from VLAN 30' 198.51.100.1 22
	[ $id != 30 ] || open 'page from VLAN 30' 198.51.100.1 8080
	$b ip address flush dev v$id
done
say ends
$b poweroff -f
`;

/** In this order they load. */
const modules = ['net/llc/llc', 'net/802/stp', 'net/802/garp', 'net/802/mrp', 'net/8021q/8021q'];

/** The kernel and initramfs of a second machine, made of what is on the medium. */
export async function makePeer(iso: string, buildId: string): Promise<{image: string; initrd: string; append: string}> {
	const work = join(folder, 'peer-kernel'); // a machine's folder is emptied when it starts
	await rm(work, {recursive: true, force: true});
	await mkdir(join(work, 'root/peer'), {recursive: true});
	const extract = ['live/vmlinuz', 'live/initrd.img', `live-${buildId}/10-base.squashfs`].flatMap(path => [
		...['-extract', `/${path}`, join(work, basename(path))],
	]);
	await run(['xorriso', '-osirrox', 'on', '-indev', iso, ...extract]);
	const root = join(work, 'base');
	const wanted = modules.map(name => `usr/lib/modules/*/kernel/${name}.ko.xz`);
	await run(['unsquashfs', '-no-progress', '-no-xattrs', '-dest', root, join(work, '10-base.squashfs'), ...wanted]);
	const [release = ''] = await readdir(join(root, 'usr/lib/modules'));
	const packed = modules.map(name => join(root, 'usr/lib/modules', release, 'kernel', `${name}.ko.xz`));
	await run(['xz', '--decompress', ...packed]);
	const files = new Map([
		['busybox', await fetchBusybox(join(work, 'busybox'))],
		['init', Buffer.from(script)],
		['order', Buffer.from(`${modules.map(name => `${basename(name)}.ko`).join('\n')}\n`)],
	]);
	for (const path of packed) files.set(basename(path, '.xz'), await readFile(path.replace(/\.xz$/, '')));
	for (const [name, content] of files) await writeFile(join(work, 'root/peer', name), content, {mode: 0o755});
	const names = ['peer', ...[...files.keys()].map(name => `peer/${name}`)];
	const archive = join(work, 'peer.cpio');
	const pack = ['--create', '--format=newc', '--quiet', `--directory=${join(work, 'root')}`, `--file=${archive}`];
	await run(['cpio', ...pack], {input: `${names.join('\n')}\n`});
	const initrd = join(work, 'initrd');
	await writeFile(initrd, Buffer.concat([await readFile(archive), await readFile(join(work, 'initrd.img'))]));
	return {image: join(work, 'vmlinuz'), initrd, append: 'console=ttyS0 quiet rdinit=/peer/init'};
}
