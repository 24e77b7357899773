import {join} from 'node:path';
import type {Command} from '../run.ts';
import type {Accelerator} from './accel.ts';

export type Firmware = 'bios' | 'uefi' | 'uefi-secure-boot';

export interface DiskOptions {
	path: string;
	format: 'raw' | 'qcow2';
	bus: 'nvme' | 'virtio' | 'scsi' | 'usb';
	serial: string;
	/** Position in the boot order, from 0; without it the firmware decides. */
	bootIndex?: number;
	readOnly?: boolean;
	/** What is written need not outlive a power cut of this workstation; it is faster. */
	unsafe?: boolean;
}

export interface MachineOptions {
	/** Holds the machine's state: firmware variables, sockets, serial log. */
	folder: string;
	firmware: Firmware;
	accelerator: Accelerator;
	/** In MiB. */
	memory: number;
	/** Whether the memory may be more than this workstation has; it is taken as the machine touches it. */
	overcommit?: boolean;
	/** Processors; 2 where nothing is said. */
	cpus?: number;
	disks: readonly DiskOptions[];
	/** A kernel that is started directly, with its initramfs and command line. */
	kernel?: {image: string; initrd: string; append: string};
	/** An ISO in the CD drive. */
	cdrom?: string;
	/** Whether the CD drive comes before whatever the firmware would boot. */
	cdromFirst?: boolean;
	mac: string;
	/** TCP port on 127.0.0.1 that leads to the machine's SSH. */
	sshPort?: number;
	/** Further network cards, each wired to one other machine by a socket; the one that listens starts first. */
	wires?: readonly {mac: string; socket: string; listen: boolean}[];
	/** The first network card is on a tap device of a network namespace; with `boot` the machine boots from it before anything else. */
	tap?: {namespace: string; device: string; boot?: 'pxe' | 'http'};
	/** Nothing from outside but DHCP and the forwarded port. */
	isolated: boolean;
	/** Serial port and monitor on this terminal; with a window too, or without. */
	terminal?: {window: boolean};
	/** Changes to the disks are forgotten at the end. */
	snapshot: boolean;
	/** A reboot ends it. */
	once?: boolean;
	/** The UUID that its firmware tells; without one that of every test machine. Linux makes its machine-id of it; `none` tells none. */
	uuid?: string;
}

/**
 * Without erms and fsrm the kernel clears pages eight bytes at a time. TCG takes a slow path for each store to a page
 * that has held code, as the initramfs's pages have: with them systemd starts half a minute later.
 */
const tcg = ['-accel', 'tcg,thread=multi,tb-size=1024', '-cpu', 'max,erms=off,fsrm=off'];

/** Where Debian's package ovmf keeps the firmware. */
const ovmf = {
	uefi: {code: '/usr/share/OVMF/OVMF_CODE_4M.fd', vars: '/usr/share/OVMF/OVMF_VARS_4M.fd'},
	'uefi-secure-boot': {code: '/usr/share/OVMF/OVMF_CODE_4M.ms.fd', vars: '/usr/share/OVMF/OVMF_VARS_4M.ms.fd'},
};

/** The template of the firmware's variables, and the machine's own copy: never shared, or machines change each other's boot entries. */
export function findVariables({
	folder,
	firmware,
}: Pick<MachineOptions, 'folder' | 'firmware'>): {template: string; own: string} | undefined {
	return firmware === 'bios' ? undefined : {template: ovmf[firmware].vars, own: join(folder, `vars-${firmware}.fd`)};
}

function listFirmware(options: MachineOptions): string[] {
	const variables = findVariables(options);
	if (!variables || options.firmware === 'bios') return ['-machine', 'q35'];
	const secure = options.firmware === 'uefi-secure-boot';
	return [
		...['-machine', secure ? 'q35,smm=on' : 'q35'],
		...(secure ? ['-global', 'driver=cfi.pflash01,property=secure,value=on'] : []),
		...['-drive', `if=pflash,unit=0,format=raw,readonly=on,file=${twice(ovmf[options.firmware].code)}`],
		...[
			'-drive',
			`if=pflash,unit=1,format=raw,file=${twice(variables.own)},snapshot=${options.snapshot ? 'on' : 'off'}`,
		],
	];
}

/** A path in a list of options: there a comma is written twice (qemu(1)). In `-serial file:` it is not. */
const twice = (path: string) => path.replaceAll(',', ',,');

const drivers = {
	nvme: 'nvme',
	virtio: 'virtio-blk-pci',
	scsi: 'scsi-hd',
	usb: 'usb-storage,bus=xhci.0,removable=on',
};

function listDisk({path, format, bus, serial, bootIndex, readOnly, unsafe}: DiskOptions, index: number): string[] {
	const boot = bootIndex === undefined ? '' : `,bootindex=${bootIndex}`;
	const cache = unsafe ? ',cache=unsafe' : '';
	// A full disk of the workstation is an error in the machine; else QEMU stops the machine, which then says nothing more.
	const errors = 'werror=report,rerror=report';
	return [
		...[
			'-drive',
			`if=none,id=disk${index},${errors},format=${format},file=${twice(path)}${readOnly ? ',readonly=on' : ',discard=unmap'}${cache}`,
		],
		...['-device', `${drivers[bus]},drive=disk${index},serial=${serial}${boot}`],
	];
}

/** On virtio: under TCG the emulated SATA drive takes a minute for what this reads in ten seconds. */
function listCdrom({cdrom, cdromFirst}: MachineOptions): string[] {
	if (cdrom === undefined) return [];
	const drive = `if=none,id=cd,media=cdrom,readonly=on,file=${twice(cdrom)}`;
	return ['-drive', drive, '-device', `scsi-cd,drive=cd${cdromFirst ? ',bootindex=0' : ''}`];
}

/** The disks, and the controller of those that are SCSI. */
function listDrives(options: MachineOptions): string[] {
	const scsi = options.cdrom !== undefined || options.disks.some(({bus}) => bus === 'scsi');
	const disks = options.disks.flatMap(listDisk);
	return [...(scsi ? ['-device', 'virtio-scsi-pci,id=scsi'] : []), ...disks, ...listCdrom(options)];
}

function listWire({mac, socket, listen}: {mac: string; socket: string; listen: boolean}, index: number): string[] {
	const id = `wire${index}`;
	return [
		...['-netdev', `stream,id=${id},server=${listen ? 'on' : 'off'},addr.type=unix,addr.path=${twice(socket)}`],
		...['-device', `virtio-net-pci,netdev=${id},mac=${mac},romfile=`],
	];
}

/** The firmware tries PXE before HTTP Boot; told not to, it goes on to the other (OVMF's own words, in fw_cfg). */
function listFirstCard({tap, mac, isolated, sshPort, firmware}: MachineOptions): string[] {
	if (tap) {
		// BIOS boots from the network by the ROM of the card, UEFI by itself.
		const rom = tap.boot && firmware === 'bios' ? '' : ',romfile=';
		return [
			...['-netdev', `tap,id=net0,ifname=${tap.device},script=no,downscript=no`],
			...['-device', `virtio-net-pci,netdev=net0,mac=${mac}${rom}${tap.boot ? ',bootindex=0' : ''}`],
			...(tap.boot === 'http' ? ['-fw_cfg', 'name=opt/org.tianocore/IPv4PXESupport,string=n'] : []),
			...['-fw_cfg', 'name=opt/org.tianocore/IPv6PXESupport,string=n'],
		];
	}
	const forward = sshPort === undefined ? '' : `,hostfwd=tcp:127.0.0.1:${sshPort}-:22`;
	// Without its ROM, or the firmware tries to boot from the network first, for minutes.
	return [
		...['-netdev', `user,id=net0,restrict=${isolated ? 'on' : 'off'}${forward}`],
		...['-device', `virtio-net-pci,netdev=net0,mac=${mac},romfile=`],
	];
}

function listIdentity({uuid = '7c1f2d0e-5b6a-4c3d-9e8f-0a1b2c3d4e5f'}: MachineOptions): string[] {
	const told = uuid === 'none' ? '' : `,uuid=${uuid}`;
	return ['-smbios', `type=1,manufacturer=bringup,product=test,serial=BU-0001${told}`];
}

const listOvercommit = ({memory}: MachineOptions) => [
	...['-object', `memory-backend-ram,id=ram,size=${memory}M,reserve=off`],
	...['-machine', 'memory-backend=ram'],
];

/** The command of a machine. Data only: nothing is started. */
export function listQemuArguments(options: MachineOptions): Command {
	const {accelerator, folder, terminal, tap} = options;
	const display = terminal
		? ['-serial', 'mon:stdio', ...(terminal.window ? [] : ['-display', 'none'])]
		: ['-serial', `file:${join(folder, 'serial.log')}`, '-display', 'none', '-monitor', 'none'];
	const [program, ...before] = tap
		? (['ip', 'netns', 'exec', tap.namespace, 'qemu-system-x86_64'] as const)
		: (['qemu-system-x86_64'] as const);
	return [
		program,
		...before,
		...(accelerator === 'kvm' ? ['-accel', 'kvm', '-cpu', 'host'] : tcg),
		...listFirmware(options),
		...['-smp', String(options.cpus ?? 2), '-m', String(options.memory)],
		...['-nodefaults', '-vga', 'std', '-rtc', 'base=utc'],
		...(options.overcommit ? listOvercommit(options) : []),
		...listIdentity(options),
		...['-device', 'qemu-xhci,id=xhci', '-device', 'virtio-rng-pci'],
		// Before the drives: what a DHCP server knows a link by depends on its slot (networkd's IAID), whatever disks there are.
		...listFirstCard(options),
		...(options.wires ?? []).flatMap(listWire),
		...listDrives(options),
		...['-qmp', `unix:${twice(join(folder, 'qmp.sock'))},server=on,wait=off`],
		...display,
		...(options.kernel
			? ['-kernel', options.kernel.image, '-initrd', options.kernel.initrd, '-append', options.kernel.append]
			: []),
		...(options.snapshot ? ['-snapshot'] : []),
		...(options.once ? ['-no-reboot'] : []),
	];
}
