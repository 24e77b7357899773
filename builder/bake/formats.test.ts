import {readdir, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {withFolder} from '../folder.ts';
import {run} from '../run.ts';
import {makeFormats} from './formats.ts';
import {formatOvf} from './ovf.ts';

test('an appliance says the firmware that the image needs, and is XML', async t => {
	const sizes = {packed: 5, disk: 10};
	for (const uefi of [true, false]) {
		const text = formatOvf('guest', 'guest-disk1.vmdk', sizes, {uefi, memory: 4096});
		t.is(/<vmw:Config ovf:required="false" vmw:key="firmware" vmw:value="efi"\/>/.test(text), uefi);
		t.regex(text, /<rasd:VirtualQuantity>4096</);
		await run(['xmllint', '--noout', '-'], {input: text});
	}
});

test('every format holds the very disk, that in an appliance too', t =>
	withFolder(tmpdir(), async folder => {
		const disk = join(folder, 'disk.raw');
		await writeFile(disk, Buffer.alloc(2 ** 20, 'disk'));
		const formats = ['qcow2', 'vmdk', 'vhdx', 'ova'] as const;
		const hardware = {uefi: true, memory: 2048};
		const options = {update: () => {}, signal: new AbortController().signal, hardware};
		await makeFormats({formats: [...formats]} as never, disk, join(folder, 'guest'), options);
		t.deepEqual((await readdir(folder)).sort(), ['disk.raw', ...formats.map(format => `guest.${format}`)].sort());
		await run(['tar', '--extract', '--file', join(folder, 'guest.ova'), '--directory', folder]);
		t.regex(await run(['cat', join(folder, 'guest.ovf')]), /vmw:value="efi"/);
		const compare = ['qemu-img', 'compare', '-f', 'raw', '-F', 'vmdk', disk, join(folder, 'guest-disk1.vmdk')] as const;
		t.regex(await run(compare), /identical/);
	}));
