#!/bin/bash
# The image by debos (1.1.1, of Debian 12).
# needs: debos
# Takes MIRROR, SECURITY, PACKAGES (a file), OUT (a qcow2), WORK (a folder) and MOTD (a text in the image) from the environment.
# WORK is kept from run to run: an archive with all packages is left in it.
# With the word prepare it makes nothing: there is nothing that is not measured.
set -euo pipefail
: "${MIRROR:?}" "${SECURITY:?}" "${PACKAGES:?}" "${OUT:?}" "${WORK:?}"
mkdir -p "$WORK"/overlay/etc/{apt/sources.list.d,default/grub.d,systemd/network}
cd "$WORK"
[ "${1-}" != prepare ] || exit 0
# no kernel in /boot and no KVM: build on the host itself
if ! pgrep -x systemd-udevd >/dev/null; then # debos calls "udevadm trigger --settle", which waits for ever without udevd
	mkdir -p bin
	ln -sf /bin/true bin/udevadm
	PATH=$WORK/bin:$PATH
fi
debos() { command debos --disable-fakemachine --artifactdir="$WORK" "$@"; }

printf 'deb %s main\n' "$MIRROR trixie-updates" "$SECURITY trixie-security" > overlay/etc/apt/sources.list.d/more.list
printf '%s\n' 'GRUB_CMDLINE_LINUX="console=tty0 console=ttyS0,115200"' 'GRUB_TERMINAL="console serial"' GRUB_TIMEOUT=0 \
	> overlay/etc/default/grub.d/50-serial.cfg
printf '[Match]\nType=ether\n\n[Network]\nDHCP=yes\n' > overlay/etc/systemd/network/80-dhcp.network

cat > base.yaml <<X
architecture: amd64
actions:
  - {action: debootstrap, suite: trixie, components: [main], mirror: "$MIRROR", variant: minbase}
  - {action: overlay, source: overlay}
  - {action: apt, recommends: false, packages: [$(paste -sd, "$PACKAGES")]}
  - {action: run, chroot: true, command: systemctl enable systemd-networkd}
  - {action: pack, file: base.tar.gz, compression: gz}
X
cat > image.yaml <<'X'
architecture: amd64
actions:
  - {action: unpack, file: base.tar.gz, compression: gz}
  - {action: overlay, source: motd, destination: /etc/motd}
  - action: image-partition
    imagename: image.raw
    imagesize: 4GiB
    partitiontype: gpt
    mountpoints:
      - {mountpoint: /, partition: root}
    partitions:
      - {name: bios, fs: none, start: 1MiB, end: 2MiB, flags: [bios_grub]}
      - {name: root, fs: ext4, start: 2MiB, end: 100%}
  - {action: filesystem-deploy, setup-kernel-cmdline: false}
  - {action: run, script: boot.sh}
X
cat > boot.sh <<'X'
#!/bin/bash
# Outside the chroot, as systemd-nspawn hides the loop device; ROOTDIR and IMAGE come from debos
set -euo pipefail
root=$(findmnt -no SOURCE "$ROOTDIR")
for i in dev proc sys; do mount --bind /$i "$ROOTDIR/$i"; done
trap 'umount "$ROOTDIR"/{dev,proc,sys}' EXIT
chroot "$ROOTDIR" grub-install --target=i386-pc "${root%p[0-9]}"
chroot "$ROOTDIR" update-grub
sed -i "s#root=[^ ]*#root=UUID=$(blkid -s UUID -o value "$root")#" "$ROOTDIR/boot/grub/grub.cfg"
: > "$ROOTDIR/etc/machine-id"
X
chmod +x boot.sh
printf '%s\n' "${MOTD-}" > motd
[ -e base.tar.gz ] || debos base.yaml
debos image.yaml
qemu-img convert -c -O qcow2 -o compression_type=zstd image.raw "$OUT"
rm image.raw
