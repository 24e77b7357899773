#!/bin/sh
# Brings this workstation to where the npm scripts work: Debian packages, node_modules, the compile.
# usage: setup.sh compile|build|boot|test|long   (each needs what the ones before it need)
# Needs only a POSIX shell, because it runs before anything else is there.
set -eu
cd "$(dirname "$0")"
goal=${1:-build}
# One at a time in this folder; the lock ends with this process.
if command -v flock >/dev/null; then
	exec 9<setup.sh
	flock 9
fi

fail() {
	printf 'error: %s\n' "$1" >&2
	exit 1
}

# The programs of the image are run while it is made.
machine=$(uname -m)
[ "$machine" = x86_64 ] || fail "bringup makes media for amd64, on amd64 alone; this workstation is $machine. Use an amd64 one, or a virtual machine with that processor"

# One row a need: goal, the file that proves it is there (a program's name, or a path), its Debian package, the reason.
needs() {
	cat <<'ROWS'
build mmdebstrap mmdebstrap makes the Debian root file system
build mksquashfs squashfs-tools packs the layers of the medium
build xorriso xorriso writes the ISO
build mformat mtools makes the EFI partition of the medium without a loop mount
build grub-mkimage grub-common makes the BIOS boot image
build ssh-keygen openssh-client makes an SSH key for a profile that has none
build cpio cpio makes the initramfs of debian-installer
build openssl openssl hashes the recovery code
build setpriv util-linux ends a program when the build is killed
build flock util-linux has two builds wait for each other
build dpkg-deb dpkg unpacks packages for debian-installer
build newuidmap uidmap lets an ordinary user build
build /usr/share/keyrings/debian-archive-keyring.gpg debian-archive-keyring checks the archive's signatures
boot qemu-system-x86_64 qemu-system-x86 runs the machine
boot qemu-img qemu-utils makes its disks
boot /usr/share/OVMF/OVMF_CODE_4M.ms.fd ovmf is its UEFI firmware
boot ssh openssh-client reaches the machine
boot sfdisk fdisk reads the partitions of an image, and makes disks with foreign data
boot debugfs e2fsprogs looks into an image without root
test age age encrypts the copy of a cluster
boot dnsmasq dnsmasq-base answers machines that boot over the network
boot ip iproute2 tells the addresses of a link
test lb live-build checks the rendered live-build tree
test debootstrap debootstrap is what live-build starts with
test xz xz-utils unpacks its kernel modules
test debconf-set-selections debconf takes the answers that a hook gives Debian
test mkfs.ext4 e2fsprogs makes disks with foreign data
test systemd-analyze systemd checks the rendered units
test virt-xml-validate libvirt-clients checks the definitions of domains, networks and pools
test xmllint libxml2-utils does it for virt-xml-validate
test /usr/sbin/nft nftables checks the rules against spoofing
test /usr/share/zoneinfo/tzdata.zi tzdata its time zones must be known to check
test /usr/share/i18n/SUPPORTED locales its locales must be known to check
test gpg gpg signs the archive of a test
test gpg-agent gpg-agent keeps its key
test gpgconf gpgconf ends the agent
test /usr/lib/python3/dist-packages/jsonschema/__main__.py python3-jsonschema checks SBOMs against CycloneDX's schema
test python3 python3-minimal runs jsonschema and other readers of YAML
test ps procps lists what a build that was killed has left
long curl curl fetches what the server's speed is measured by
long nginx nginx-light is one of the servers that the docs name for a netboot tree; its service starts
ROWS
}

there() {
	case $1 in
	/*) [ -e "$1" ] ;;
	*) command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] || [ -x "/sbin/$1" ] ;;
	esac
}

wanted() {
	case $goal:$1 in
	build:build | boot:build | boot:boot | long:*) return 0 ;;
	test:long) return 1 ;;
	test:*) return 0 ;;
	*) return 1 ;;
	esac
}

missing=$(needs | while read -r for what package reason; do
	if wanted "$for" && ! there "$what"; then printf '%s (%s)\n' "$package" "$reason"; fi
done)
if [ -n "$missing" ]; then
	echo 'setup: these Debian packages are missing:'
	printf '%s\n' "$missing" | sed 's/^/  /'
	packages=$(printf '%s\n' "$missing" | sed 's/ .*//' | sort -u | tr '\n' ' ')
	command -v apt-get >/dev/null || fail "this system has no apt; bringup builds on Debian 12 or 13. Install there: $packages"
	sudo=
	if [ "$(id -u)" != 0 ]; then
		command -v sudo >/dev/null || fail "installing them needs root and there is no sudo. As root: apt-get install --no-install-recommends $packages"
		sudo=sudo
	fi
	# A source of this workstation that does not answer is not ours to judge: the install below decides.
	$sudo apt-get update -q || echo 'setup: apt-get update had errors; going on with the lists that are here' >&2
	# shellcheck disable=SC2086 # a list of package names
	$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $packages ||
		fail "apt could not install: $packages"
fi

command -v node >/dev/null || fail 'Node.js 20.19 or newer is needed (Debian 13: apt-get install nodejs npm)'
node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)' ||
	fail "Node.js $(node --version) is too old; 20.19 or newer is needed"

if ! cmp -s package-lock.json node_modules/.package-lock.installed; then
	echo 'setup: installing node_modules'
	npm ci --no-audit --no-fund --loglevel=error
	cp package-lock.json node_modules/.package-lock.installed
fi

sources=$(find builder firstboot ovmf-tests tsconfig.json package-lock.json -type f \( -name '*.ts' -o -name '*.json' \) ! -path '*/golden/*' -exec sha256sum {} + | LC_ALL=C sort -k 2)
if [ "$sources" != "$(cat dist/.sources 2>/dev/null)" ]; then
	echo 'setup: compiling'
	rm -rf dist.new
	node_modules/.bin/tsc --outDir dist.new
	chmod +x dist.new/builder/cli.js
	printf '%s\n' "$sources" >dist.new/.sources
	rm -rf dist
	mv dist.new dist
fi
# A manifest names it; a package made of this tree has no git to ask.
git describe --always --abbrev=12 --exclude '*' --dirty 2>/dev/null >dist/commit || true
