#!/bin/bash
# The image by mkosi (14, of Debian 12).
# needs: mkosi
# Takes MIRROR, SECURITY, PACKAGES (a file), OUT (a qcow2), WORK (a folder) and MOTD (a text in the image) from the environment.
# WORK is kept from run to run: --incremental leaves a cache of the installed packages in it.
# With the word prepare it makes nothing: there is nothing that is not measured.
set -euo pipefail
: "${MIRROR:?}" "${SECURITY:?}" "${PACKAGES:?}" "${OUT:?}" "${WORK:?}"
mkdir -p "$WORK"/{skeleton,extra,out,tmp}
cd "$WORK"
[ "${1-}" != prepare ] || exit 0

# mkosi writes a security archive of its own into the image's sources; a skeleton file replaces it in time
mkdir -p skeleton/etc/apt/sources.list.d
echo "deb $SECURITY trixie-security main" > skeleton/etc/apt/sources.list.d/trixie-security.list

mkdir -p extra/etc/{default/grub.d,systemd/network}
printf '%s\n' 'GRUB_CMDLINE_LINUX="console=tty0 console=ttyS0,115200"' 'GRUB_TERMINAL="console serial"' GRUB_TIMEOUT=0 \
	> extra/etc/default/grub.d/50-serial.cfg
printf '[Match]\nType=ether\n\n[Network]\nDHCP=yes\n' > extra/etc/systemd/network/80-dhcp.network
echo 'LABEL=root / ext4 errors=remount-ro,x-systemd.growfs 0 1' > extra/etc/fstab
printf '%s\n' "${MOTD-}" > extra/etc/motd

cat > finalize <<'X'
#!/bin/bash
# Runs on the host while BUILDROOT (partition 2 of a loop device) is still mounted
set -euo pipefail
root=$(findmnt -no SOURCE "$BUILDROOT")
for i in dev proc sys; do mount --bind /$i "$BUILDROOT/$i"; done
trap 'umount "$BUILDROOT"/{dev,proc,sys}' EXIT
systemctl --root="$BUILDROOT" enable systemd-networkd
e2label "$root" root
chroot "$BUILDROOT" grub-install --target=i386-pc "${root%p[0-9]}"
# mkosi sets INITRD=No during the install. A --prepare-script would make it before the snapshot, but needs systemd-nspawn
chroot "$BUILDROOT" update-initramfs -c -k all
chroot "$BUILDROOT" update-grub
sed -i "s#root=[^ ]*#root=LABEL=root#" "$BUILDROOT/boot/grub/grub.cfg"
X
chmod +x finalize

# 4 GiB in all: 1 MiB head + BIOS boot partition + root + 1 MiB tail; no --bootable, which wants a vfat ESP
mkosi --distribution debian --release trixie --mirror "$MIRROR" --format gpt_ext4 \
	--bios-size 1M --root-size 4093M --with-docs=yes --clean-package-metadata=no \
	$(sed 's/^/--package /' "$PACKAGES") \
	--skeleton-tree skeleton --extra-tree extra --finalize-script finalize \
	--incremental --force --workspace-dir "$WORK/tmp" --output out/image.raw build
qemu-img convert -c -O qcow2 -o compression_type=zstd out/image.raw "$OUT"
rm out/image.raw
