#!/bin/bash
# The image as virt-builder makes them, by guestfs-tools (1.48, of Debian 12): virt-make-fs and virt-customize, on a system put together by mmdebstrap.
# needs: virt-customize
# Takes MIRROR, SECURITY, PACKAGES (a file), OUT (a qcow2), WORK (a folder) and MOTD (a text in the image) from the environment.
# WORK is kept from run to run: a template with everything but the text is left in it, and libguestfs' own appliance.
# With the word prepare it makes only the kernel that most systems have anyway: that is not measured.
set -euo pipefail
: "${MIRROR:?}" "${SECURITY:?}" "${PACKAGES:?}" "${OUT:?}" "${WORK:?}"
script=$(realpath "$0")
mkdir -p "$WORK"/{tmp,cache}
cd "$WORK"
export TMPDIR=$WORK/tmp LIBGUESTFS_CACHEDIR=$WORK/cache LIBGUESTFS_BACKEND=direct
export LIBGUESTFS_BACKEND_SETTINGS=${LIBGUESTFS_BACKEND_SETTINGS-force_tcg} # set it empty where KVM works

if ! ls /boot/vmlinuz-* >/dev/null 2>&1; then
	# No kernel is installed here, and supermin wants /boot/vmlinuz-* and /lib/modules: lay an unpacked one over
	# them, within a mount namespace of our own
	kernel=$(dirname "$WORK")/guestfs-kernel # where one is installed, this costs nothing, so it is made by prepare
	if ! [ -d "$kernel/lib/modules" ]; then
		apt-get download "$(apt-cache depends linux-image-amd64 | awk '/Depends: linux-image/ {print $2; exit}')"
		dpkg -x linux-image-*.deb "$kernel"
		rm linux-image-*.deb
		depmod -b "$kernel" "$(ls "$kernel/lib/modules")"
	fi
	[ "${OWN_NAMESPACE-}" ] || exec env OWN_NAMESPACE=1 unshare --mount "$BASH" "$script" "$@"
	mount -t overlay overlay -o "lowerdir=$kernel/lib:/usr/lib" /usr/lib
	mount --bind "$kernel/boot" /boot
fi

[ "${1-}" != prepare ] || exit 0

if ! [ -e template.raw ]; then
	[ -e base.tar ] || mmdebstrap --mode=root --variant=custom --include="$(paste -sd, "$PACKAGES")" trixie new.tar \
		"deb $MIRROR trixie main" "deb $MIRROR trixie-updates main" "deb $SECURITY trixie-security main"
	[ -e base.tar ] || mv new.tar base.tar
	virt-make-fs --format=raw --partition=mbr --type=ext4 --label=root --size=4G base.tar new.raw
	rm base.tar
	# the image need not be /dev/sda within the appliance (disks are probed in any order), hence grub-probe
	virt-customize --format raw -a new.raw --smp 2 --memsize 1024 --no-network \
		--write '/etc/systemd/network/80-dhcp.network:[Match]
Type=ether

[Network]
DHCP=yes
' \
		--mkdir /etc/default/grub.d --write '/etc/default/grub.d/50-serial.cfg:GRUB_CMDLINE_LINUX="console=tty0 console=ttyS0,115200"
GRUB_TERMINAL="console serial"
GRUB_TIMEOUT=0
' \
		--write '/etc/fstab:LABEL=root / ext4 errors=remount-ro,x-systemd.growfs 0 1
' \
		--run-command 'systemctl enable systemd-networkd' \
		--run-command 'grub-install --target=i386-pc "$(grub-probe --target=disk /)" && update-grub' \
		--run-command 'sed -i "s#root=[^ ]*#root=LABEL=root#" /boot/grub/grub.cfg' \
		--run-command ': > /etc/machine-id; rm -f /var/lib/dbus/machine-id'
	mv new.raw template.raw
fi
cp --sparse=always template.raw image.raw
virt-customize --format raw -a image.raw --no-network --write "/etc/motd:${MOTD-}
"
qemu-img convert -c -O qcow2 -o compression_type=zstd image.raw "$OUT"
rm image.raw
