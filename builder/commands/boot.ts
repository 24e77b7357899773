import {access, mkdir, open} from 'node:fs/promises';
import {basename, dirname, join, resolve} from 'node:path';
import {parseArgs} from 'node:util';
import {findAccelerator} from '../boot/accel.ts';
import {makeDisk, runInteractive} from '../boot/machine.ts';
import type {Firmware} from '../boot/qemu.ts';
import {UsageError} from '../run.ts';
import type {CliCommand, Surroundings} from './command.ts';

export const boot: CliCommand = {
	summary: 'try an ISO in a virtual machine',
	help: `usage: bringup boot FILE.iso [--firmware F] [--disk FILE] [--memory MIB] [--ssh-port PORT] [--snapshot]

  --firmware F     uefi-secure-boot (default), uefi, or bios
  --disk FILE      qcow2 disk to install to; default: beside the ISO; made when it is not there, 32G that fill as needed
  --memory MIB     default: 2048
  --ssh-port PORT  port on 127.0.0.1 that leads to the machine's SSH; default: 2222
  --snapshot       forget every change to the disk at the end

The serial console is on this terminal: Ctrl+A X ends the machine. With a display there is a window too.
`,
	async run(argv, {environment, err, signal}) {
		const text = {type: 'string'} as const;
		const options = {firmware: text, disk: text, memory: text, 'ssh-port': text, snapshot: {type: 'boolean'}} as const;
		const {values, positionals} = parseArgs({args: [...argv], allowPositionals: true, options});
		const [iso] = positionals;
		if (iso === undefined) throw new UsageError('which ISO? Say: bringup boot out/node.iso');
		const firmware = values.firmware ?? 'uefi-secure-boot';
		if (!['bios', 'uefi', 'uefi-secure-boot'].includes(firmware))
			throw new UsageError(`--firmware is bios, uefi or uefi-secure-boot, not ${firmware}`);
		const numbers = {memory: Number(values.memory ?? 2048), sshPort: Number(values['ssh-port'] ?? 2222)};
		if (!Object.values(numbers).every(Number.isSafeInteger))
			throw new UsageError('--memory and --ssh-port are whole numbers');
		await checkIso(iso);
		const folder = join(dirname(resolve(iso)), `${basename(iso, '.iso')}.machine`);
		const disk = resolve(values.disk ?? join(folder, 'disk.qcow2'));
		return bootInteractively(
			{iso: resolve(iso), folder, disk, firmware: firmware as Firmware, ...numbers, snapshot: values.snapshot ?? false},
			{environment, err, signal},
		);
	},
};

/** Throws a UsageError, before anything is made, where this cannot be booted: the volume descriptor says what an ISO is (ISO 9660, 8.1). */
async function checkIso(iso: string): Promise<void> {
	const file = await open(iso).catch(error => {
		throw new UsageError(
			error.code === 'ENOENT' ? `there is no ${iso}; make it with build-iso` : `${iso}: ${error.message}`,
		);
	});
	try {
		if (!(await file.stat()).isFile()) throw new UsageError(`${iso} is not a file; say the ISO, such as out/node.iso`);
		const {buffer} = await file.read(Buffer.alloc(5), 0, 5, 16 * 2048 + 1);
		if (buffer.toString('latin1') !== 'CD001') throw new UsageError(`${iso} is not an ISO; make one with build-iso`);
	} finally {
		await file.close();
	}
}

const exists = (path: string) =>
	access(path).then(
		() => true,
		() => false,
	);

interface Interactive {
	iso: string;
	folder: string;
	disk: string;
	firmware: Firmware;
	memory: number;
	sshPort: number;
	snapshot: boolean;
}

async function bootInteractively(
	options: Interactive,
	{environment, err, signal}: Pick<Surroundings, 'environment' | 'err' | 'signal'>,
): Promise<number> {
	const {iso, disk, folder, ...rest} = options;
	await mkdir(folder, {recursive: true});
	if (!(await exists(disk))) await makeDisk(disk, '32G');
	err.write(
		`accelerator: ${await findAccelerator()}; disk: ${disk}; ssh: port ${rest.sshPort} on 127.0.0.1; Ctrl+A X ends the machine\n`,
	);
	const machine = {
		...rest,
		folder,
		disks: [{path: disk, format: 'qcow2', bus: 'nvme', serial: 'BRINGUP-1'}] as const,
		cdrom: iso,
		mac: '52:54:00:62:75:01',
		isolated: false,
		terminal: {window: Boolean(environment['DISPLAY'] || environment['WAYLAND_DISPLAY'])},
	};
	await runInteractive(machine, signal);
	return 0;
}
