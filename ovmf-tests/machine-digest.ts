import type {Login, Machine} from '../builder/boot/machine.ts';

/** What each machine makes for itself, or what the clock is in: compared by its presence, owner and mode. */
const own = [
	'machine-id',
	'hostid',
	'adjtime',
	'ssh/ssh_host_.*',
	'shadow-?',
	'gshadow-?',
	'passwd-',
	'group-',
	'subuid-',
	'subgid-',
	'lvm/(backup|archive)/.*',
	'rancher/node/password',
	'libvirt/nwfilter/.*', // libvirt's own, with identifiers that it draws when it first starts
	'libvirt/qemu/networks/default\\.xml',
	'.*\\.bak',
].join('|');

/** A script for a root shell: what matters of a machine, a line each, under headings. */
const script = `
set -u
export LC_ALL=C.UTF-8
heading() { echo "== $1"; }
heading disks
lsblk --json --bytes --exclude 1,11 --output SERIAL,TYPE,SIZE,FSTYPE,LABEL,UUID,PARTLABEL,PARTUUID,PARTTYPE,PTUUID,MOUNTPOINTS
heading etc
cd /etc
find . -xdev -mindepth 1 ! -path './lvm/archive/*' -printf '%P\\t%y %m %u:%g %l\\n' | sort
heading content
find . -xdev -type f -regextype posix-extended ! -regex './(${own})' -print0 | sort -z | xargs -0 sha256sum
heading enabled
find /etc/systemd -type l -printf '%P -> %l\\n' | sort
heading failed
systemctl --failed --no-legend --plain
heading links
ip -json -details link show | node -e 'JSON.parse(require("fs").readFileSync(0)).filter(l => !/^(vnet|veth)/.test(l.ifname)).map(l => [l.ifname, l.master ?? "", l.linkinfo?.info_kind ?? "", l.mtu].join(" ")).sort().forEach(l => console.log(l))'
bridge -compressvlans vlan show
heading rules
nft --stateless list table inet bringup
heading users
getent passwd | sort
getent group | sort
awk -F: '{print $1, ($2 ~ /^[!*]/ ? "locked" : $2 == "" ? "open" : "hash")}' /etc/shadow | sort
heading keys
find /etc/ssh/authorized_keys.d -type f -exec sha256sum {} + 2>/dev/null | sort
heading domains
virsh list --all --name | sort
for name in $(virsh list --all --name | sort); do virsh dumpxml --inactive "$name"; done
heading containers
cd /
runuser -u apps -- env XDG_RUNTIME_DIR=/run/user/2000 podman ps --format '{{.Names}} {{.Image}} {{.State}}' | sort
heading kubernetes
k3s kubectl get nodes | awk '{print $1, $2}'
heading plan
bringup plan
heading data
find /srv -xdev -type f -exec sha256sum {} + | sort
for folder in /srv/*; do findmnt --noheadings --output TARGET,FSTYPE,LABEL "$folder"; find "$folder" -xdev -type f -exec sha256sum {} + | sort; done
`;

/** What matters of a machine, by heading. */
export type Digest = ReadonlyMap<string, readonly string[]>;

const uuid =
	/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9A-Za-z]{6}(-[0-9A-Za-z]{4}){5}-[0-9A-Za-z]{6}/g;

/** Asks a machine that is up. */
export async function readDigest(machine: Machine, login: Login): Promise<Digest> {
	const text = await machine.run(login, ['sudo', 'bash'], script);
	const sections = text.split(/^== /m).slice(1);
	return new Map(
		sections.map(section => {
			const [name = '', ...lines] = section.split('\n');
			return [name, lines.filter(Boolean)];
		}),
	);
}

/** The lines in which two digests differ; with \`identities\` an identifier must be the same, else only where one is. */
export function compareDigests(expected: Digest, found: Digest, {identities}: {identities: boolean}): string[] {
	const plain = (line: string) => (identities ? line : line.replace(uuid, 'UUID'));
	return [...expected].flatMap(([name, lines]) => {
		const [before, after] = [lines.map(plain), (found.get(name) ?? []).map(plain)];
		return [
			...before.filter(line => !after.includes(line)).map(line => `${name}: - ${line}`),
			...after.filter(line => !before.includes(line)).map(line => `${name}: + ${line}`),
		];
	});
}
