import {writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {withFolder} from '../folder.ts';
import {start} from '../run.ts';

export type Accelerator = 'kvm' | 'tcg';

/** A boot sector that writes 0x10 to isa-debug-exit and halts: mov dx,0xf4; mov al,0x10; out dx,al; hlt; jmp -3 */
const bootSector = Buffer.alloc(512);
Buffer.from([0xba, 0xf4, 0x00, 0xb0, 0x10, 0xee, 0xf4, 0xeb, 0xfd]).copy(bootSector);
bootSector.writeUInt16LE(0xaa55, 510);

/** What QEMU exits with when the guest has written 0x10: 0x10 * 2 + 1. */
const proof = 33;

async function runsUnderKvm(): Promise<boolean> {
	return withFolder(tmpdir(), async folder => {
		const disk = join(folder, 'sector.img');
		await writeFile(disk, bootSector);
		const qemu = start([
			...([
				'qemu-system-x86_64',
				'-accel',
				'kvm',
				'-cpu',
				'host',
				'-machine',
				'q35',
				'-m',
				'64',
				'-nodefaults',
				'-display',
				'none',
			] as const),
			...[
				'-drive',
				`file=${disk},format=raw,if=ide,readonly=off`,
				'-device',
				'isa-debug-exit,iobase=0xf4,iosize=0x04',
				'-no-reboot',
			],
		]);
		const timer = setTimeout(() => qemu.kill('SIGKILL'), 5000);
		const {exitCode} = await qemu.ended;
		clearTimeout(timer);
		return exitCode === proof;
	});
}

let known: Promise<Accelerator> | undefined;

/**
 * The accelerator that works here. KVM counts only when a guest has run under it: on nested and locked-down hosts
 * /dev/kvm opens, virtual machines can be made, and guests then die.
 */
export function findAccelerator(): Promise<Accelerator> {
	known ??= runsUnderKvm().then(works => (works ? 'kvm' : 'tcg'));
	return known;
}
