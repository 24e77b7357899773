import {mkdir, readdir, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {withFolder} from '../folder.ts';
import {start} from '../run.ts';
import {listQemuArguments, type MachineOptions} from './qemu.ts';

const options: MachineOptions = {
	folder: '/vm',
	firmware: 'uefi-secure-boot',
	accelerator: 'tcg',
	memory: 2048,
	disks: [{path: '/vm/disk.qcow2', format: 'qcow2', bus: 'nvme', serial: 'S1'}],
	cdrom: '/node.iso',
	mac: '52:54:00:62:75:01',
	sshPort: 2222,
	isolated: true,
	snapshot: false,
};

const line = (changes: Partial<MachineOptions>) => listQemuArguments({...options, ...changes}).join(' ');

test('Secure Boot takes the Microsoft keys, SMM, and a private copy of the variables', t => {
	const text = line({});
	t.regex(text, /-machine q35,smm=on -global driver=cfi\.pflash01,property=secure,value=on/);
	t.regex(text, /if=pflash,unit=0,format=raw,readonly=on,file=\/usr\/share\/OVMF\/OVMF_CODE_4M\.ms\.fd/);
	t.regex(text, /if=pflash,unit=1,format=raw,file=\/vm\/vars-uefi-secure-boot\.fd/);
});

test('plain UEFI has no SMM, BIOS no flash', t => {
	t.notRegex(line({firmware: 'uefi'}), /smm=on|\.ms\.fd/);
	t.notRegex(line({firmware: 'bios'}), /pflash/);
});

test('KVM runs on the processor as it is, TCG without the string instructions that it is slow at', t => {
	t.regex(line({accelerator: 'kvm'}), /-accel kvm -cpu host/);
	t.regex(line({}), /-accel tcg,thread=multi,tb-size=1024 -cpu max,erms=off,fsrm=off/);
});

test('disks have their serial, a stick is removable and may come first', t => {
	t.regex(line({}), /-device nvme,drive=disk0,serial=S1 /);
	const stick = {path: '/stick.img', format: 'raw', bus: 'usb', serial: 'U', bootIndex: 0} as const;
	t.regex(line({disks: [stick]}), /usb-storage,bus=xhci\.0,removable=on,drive=disk0,serial=U,bootindex=0/);
});

test('the CD comes first only when asked', t => {
	t.regex(line({}), /scsi-cd,drive=cd /);
	t.regex(line({cdromFirst: true}), /scsi-cd,drive=cd,bootindex=0/);
});

test('a network card has no boot ROM, and an isolated machine reaches nothing', t => {
	t.regex(
		line({}),
		/user,id=net0,restrict=on,hostfwd=tcp:127\.0\.0\.1:2222-:22 .*virtio-net-pci,netdev=net0,mac=52:54:00:62:75:01,romfile= /,
	);
	t.regex(line({isolated: false}), /restrict=off/);
});

test('on a terminal the serial port and the monitor are there, and a window only with a display', t => {
	t.regex(line({terminal: {window: false}}), /-serial mon:stdio -display none/);
	t.notRegex(line({terminal: {window: true}}), /-display none/);
	t.regex(line({}), /-serial file:\/vm\/serial\.log -display none/);
});

test('a snapshot forgets the variables too', t => {
	t.regex(line({snapshot: true}), /vars-uefi-secure-boot\.fd,snapshot=on.* -snapshot$/);
});

test('a machine on a tap boots from the network only where that is said', t => {
	const tap = {namespace: 'wire', device: 'tap-1'} as const;
	t.regex(
		line({tap}),
		/^ip netns exec wire qemu.*tap,id=net0,ifname=tap-1,.*netdev=net0,mac=52:54:00:62:75:01,romfile= /,
	);
	t.regex(line({tap: {...tap, boot: 'pxe'}}), /mac=52:54:00:62:75:01,romfile=,bootindex=0 /);
	t.regex(line({tap: {...tap, boot: 'http'}, firmware: 'bios'}), /mac=52:54:00:62:75:01,bootindex=0 .*IPv4PXESupport/);
});

test('processors are two where nothing is said, and memory is reserved unless told otherwise', t => {
	t.regex(line({}), /-smp 2 -m 2048 /);
	t.notRegex(line({}), /reserve=off/);
	t.regex(line({cpus: 4, overcommit: true}), /-smp 4 -m 2048 .*size=2048M,reserve=off -machine memory-backend=ram /);
});

test('QEMU itself finds every path that has a comma and a space in it', t =>
	withFolder(tmpdir(), async work => {
		const {sshPort: _, ...plain} = options; // it may be in use
		const folder = join(work, 'a,b c');
		await mkdir(folder);
		for (const name of ['disk.raw', 'cd.iso']) await writeFile(join(folder, name), Buffer.alloc(2 ** 20));
		const disk = {path: join(folder, 'disk.raw'), format: 'raw', bus: 'virtio', serial: 'S1'} as const;
		const given = listQemuArguments({
			...plain,
			folder,
			firmware: 'bios',
			disks: [disk],
			cdrom: join(folder, 'cd.iso'),
		});
		// Started and not set going.
		const machine = start([...given, '-S']);
		const end = Date.now() + 30_000;
		while ((await readdir(folder)).length < 4 && Date.now() < end)
			await new Promise(resolve => setTimeout(resolve, 50));
		t.deepEqual((await readdir(folder)).sort(), ['cd.iso', 'disk.raw', 'qmp.sock', 'serial.log']);
		machine.kill('SIGTERM');
		const {output} = await machine.ended;
		t.notRegex(output, /Could not open|No such file|Invalid parameter/);
	}));

test('every path in a list of options has its commas twice', t => {
	const wires = [{mac: '52:54:00:62:75:02', socket: '/v,m/wire', listen: true}];
	const disks = [{path: '/v,m/disk', format: 'raw', bus: 'nvme', serial: 'S1'}] as const;
	const words = listQemuArguments({...options, folder: '/v,m', cdrom: '/v,m/cd', disks, wires});
	const lists = words.filter(word => /(file|path)=\/v|unix:\/v/.test(word));
	t.is(lists.length, 5);
	for (const word of lists) t.regex(word, /[:=]\/v,,m\//);
});
