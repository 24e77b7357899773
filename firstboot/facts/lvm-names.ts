/** Why LVM would take no logical volume of this name (lvm(8), "VALID NAMES"), or undefined. */
export function findVolumeNameFault(name: string): string | undefined {
	const begin = /^(snapshot|pvmove)/.exec(name)?.[0];
	if (begin) return `LVM keeps names that begin with ${begin} to itself`;
	const parts = ['cdata', 'cmeta', 'corig', 'cpool', 'cvol', 'wcorig', 'mimage', 'mlog', 'pmspare', 'rimage', 'rmeta'];
	const own = [...parts, 'tdata', 'tmeta', 'vdata', 'vorigin', 'imeta', 'iorig'].find(part =>
		name.includes(`_${part}`),
	);
	return own === undefined ? undefined : `LVM keeps names with _${own} in them to itself`;
}

/** What devtmpfs, udev and systemd have in /dev, as far as it could be the name of a volume group. */
const inDev = [
	...['autofs', 'block', 'bsg', 'bus', 'cdrom', 'char', 'console', 'core', 'cpu', 'cuse', 'disk', 'dri', 'dvd', 'fd'],
	...['full', 'fuse', 'hpet', 'hugepages', 'hwrng', 'initctl', 'input', 'kmsg', 'kvm', 'log', 'mapper', 'mcelog', 'md'],
	...[
		'mem',
		'mqueue',
		'net',
		'null',
		'nvram',
		'port',
		'ppp',
		'psaux',
		'ptmx',
		'pts',
		'random',
		'rfkill',
		'rtc',
		'serial',
	],
	...[
		'shm',
		'snapshot',
		'snd',
		'stderr',
		'stdin',
		'stdout',
		'tty',
		'udmabuf',
		'uhid',
		'uinput',
		'urandom',
		'usb',
		'userio',
	],
	...['v4l', 'vcs', 'vcsa', 'vcsu', 'vfio', 'vga_arbiter', 'watchdog', 'zero', 'zfs', 'zvol'],
];
const numbered =
	/^((dm_|fb|hidraw|i2c_|ipmi|loop|lp|md|media|mei|nbd|nvme|pps|ptp|ram|rtc|sg|sr|tpm|tpmrm|tty|vcs|vcsa|vcsu|video|watchdog|zd|zram)\d+|(sd|hd|vd|xvd)[a-z]+\d*|nvme\d+n\d+(p\d+)?|mmcblk\d+(p\d+)?|md\d+p\d+)$/;

/** Why vgcreate would take no volume group of this name, or undefined: its folder is in /dev. */
export function findGroupNameFault(name: string): string | undefined {
	if (!inDev.includes(name) && !numbered.test(name)) return undefined;
	return `there is a /dev/${name} already, and the volumes of a group are in the folder of its name; take another`;
}
