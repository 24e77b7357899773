#!/bin/bash
# The image by FAI's fai-diskimage (6.0.3, of Debian 12).
# needs: fai-diskimage
# Takes MIRROR, SECURITY, PACKAGES (a file), OUT (a qcow2), WORK (a folder) and MOTD (a text in the image) from the environment.
# WORK is kept from run to run: a base file with all packages is left in it.
# With the word prepare it makes nothing: there is nothing that is not measured.
set -euo pipefail
: "${MIRROR:?}" "${SECURITY:?}" "${PACKAGES:?}" "${OUT:?}" "${WORK:?}"
mkdir -p "$WORK"/etc/apt "$WORK"/config/{basefiles,class,debconf,disk_config,hooks,package_config,scripts/TRIXIE,files/etc/{motd,apt/sources.list}}
cd "$WORK/config"
[ "${1-}" != prepare ] || exit 0
export BASEFILE=$PWD/basefiles/TRIXIE.tar.zst MAXPACKAGES=1000

cat > ../etc/fai.conf <<X
LOGUSER=
FAI_DEBOOTSTRAP="trixie $MIRROR"
FAI_DEBOOTSTRAP_OPTS="--variant=minbase"
X
cp ../etc/fai.conf ../etc/nfsroot.conf
printf 'deb %s main\n' "$MIRROR trixie" "$MIRROR trixie-updates" "$SECURITY trixie-security" > files/etc/apt/sources.list/TRIXIE
printf '%s\n' "${MOTD-}" > files/etc/motd/TRIXIE
(echo PACKAGES install-norec; cat "$PACKAGES") > package_config/TRIXIE
cat > disk_config/TRIXIE <<'X'
disk_config disk1 disklabel:gpt-bios fstabkey:uuid bootable:1
primary / 1G- ext4 rw,errors=remount-ro
X
cat > hooks/savelog.TRIXIE <<'X'
#!/bin/bash
# fai-divert knows /sbin/init, trixie's systemd-sysv ships /usr/sbin/init: taking the diversion back removes it
ln -sf ../lib/systemd/systemd "$target/usr/sbin/init"
# After task finish: by then FAI has taken back its diversion of /sbin/init and its RAM disk on /var/lib/dpkg, but
# the host's /dev still lies over the image's
[ -f "$BASEFILE" ] && exit
tar --one-file-system -C "$target" --exclude=./lost+found --exclude='./var/log/fai/*' -cf - \
	. ./dev/{null,zero,full,random,urandom,tty,console} | zstd -q -T0 -1 -o "$BASEFILE"
X
cat > scripts/TRIXIE/20-system <<'X'
#!/bin/bash
set -e
fcopy -M /etc/motd
mkdir -p $target/etc/default/grub.d
printf '%s\n' 'GRUB_CMDLINE_LINUX="console=tty0 console=ttyS0,115200"' 'GRUB_TERMINAL="console serial"' GRUB_TIMEOUT=0 \
	> $target/etc/default/grub.d/50-serial.cfg
printf '[Match]\nType=ether\n\n[Network]\nDHCP=yes\n' > $target/etc/systemd/network/80-dhcp.network
systemctl --root=$target enable systemd-networkd
$ROOTCMD grub-install --target=i386-pc $BOOT_DEVICE
$ROOTCMD update-grub
# no udev here: grub-mkconfig finds no /dev/disk/by-uuid; ROOT_PARTITION is UUID=…
sed -i "s#root=/dev/[^ ]*#root=$ROOT_PARTITION#" $target/boot/grub/grub.cfg
rm -f $target/etc/hosts.orig $target/etc/resolv.conf
ln -s ../run/systemd/resolve/stub-resolv.conf $target/etc/resolv.conf
: > $target/etc/machine-id
rm -f $target/var/lib/dbus/machine-id
X
chmod +x scripts/TRIXIE/* hooks/*

cd "$WORK"
fai-diskimage -v -C "$WORK/etc" -s "$WORK/config" -c TRIXIE -u guest -S 4G image.raw
qemu-img convert -c -O qcow2 -o compression_type=zstd image.raw "$OUT"
rm image.raw
