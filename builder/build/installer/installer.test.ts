import {gunzipSync} from 'node:zlib';
import test from 'ava';
import type {Package} from '../packages.ts';
import {makePool} from './pool.ts';
import {chooseUdebs, readPresent} from './udebs.ts';

const stanza = (name: string, fields: Record<string, string> = {}) =>
	Object.entries({Package: name, Version: '1', Filename: `pool/main/x/${name}_1_amd64.udeb`, ...fields})
		.map(([key, value]) => `${key}: ${value}`)
		.join('\n');

const status = [
	stanza('libc6-udeb', {Status: 'install ok unpacked', Provides: 'libc6'}),
	stanza('kernel-image-6.12.94+deb13-amd64-di', {Provides: 'kernel-image, fat-modules'}),
	stanza('scsi-core-modules-6.12.94+deb13-amd64-di'),
].join('\n\n');

const modules = (kernel: string) =>
	['ext4', 'fat', 'loop', 'isofs', 'cdrom-core', 'scsi', 'sata', 'ata', 'pata']
		.concat(['usb-storage', 'mmc'])
		.map(name => stanza(`${name}-modules-${kernel}-di`, {Depends: `kernel-image-${kernel}-di`}));

test("the initramfs says which kernel the modules must be of, by Debian's own names", t => {
	const {kernel, names} = readPresent(status);
	t.is(kernel, '6.12.94+deb13-amd64');
	t.true(names.has('fat-modules'));
	t.throws(() => readPresent('Package: libc6-udeb\n'), {message: /names no kernel/});
});

test('modules of another kernel stay away, and what is lacking is named', t => {
	const {chosen, early, unknown} = chooseUdebs(
		[...modules('6.12.107+deb13-amd64'), ...modules('6.12.94+deb13-amd64')],
		readPresent(status),
	);
	t.true([...chosen.keys()].every(name => name.includes('6.12.94')));
	t.true(early.includes('isofs-modules-6.12.94+deb13-amd64-di'));
	t.false(early.includes('ext4-modules-6.12.94+deb13-amd64-di'));
	t.true(unknown.includes('partman-base'));
	const other = chooseUdebs(modules('6.12.107+deb13-amd64'), readPresent(status));
	t.true(other.unknown.includes('ext4-modules-6.12.94+deb13-amd64-di'));
});

test('a udeb brings what it depends on, but for what is there and what only finds other systems', t => {
	const stanzas = [
		stanza('partman-base', {Depends: 'libc6-udeb (>= 2.41), libparted2-udeb, cdebconf-udeb'}),
		stanza('libparted2-udeb', {Depends: 'libc6-udeb'}),
		stanza('partman-partitioning', {Depends: 'ntfs-3g-udeb'}),
		stanza('ntfs-3g-udeb'),
	];
	const {chosen} = chooseUdebs(stanzas, readPresent(status));
	t.deepEqual([...chosen.keys()].sort(), ['libparted2-udeb', 'partman-base', 'partman-partitioning']);
});

const packages: Package[] = ['base-files', 'zlib1g'].map(name => ({
	name,
	version: '1',
	architecture: 'amd64',
	size: 1,
	sha256: '0',
	file: `${name}_1_amd64.deb`,
	stanza: stanza(name, {Priority: 'required', Filename: `pool/main/x/${name}_1_amd64.deb`}),
}));

test("the pool's lists are the archive's own stanzas, each ended by an empty line, udebs apart", t => {
	const {lists, files} = makePool('trixie', packages, [stanza('partman-base')], {cache: '/cache', epoch: 0});
	const list = String(lists.get('dists/trixie/main/binary-amd64/Packages'));
	t.true(list.endsWith(`${packages[1]?.stanza}\n\n`));
	t.false(list.includes('partman-base'));
	const udebs = lists.get('dists/trixie/main/debian-installer/binary-amd64/Packages');
	t.is(String(udebs), `${stanza('partman-base')}\n\n`);
	t.deepEqual(
		gunzipSync(lists.get('dists/trixie/main/debian-installer/binary-amd64/Packages.gz') ?? Buffer.alloc(0)),
		udebs,
	);
	for (const component of ['main', 'main/debian-installer'])
		t.true(lists.has(`dists/trixie/${component}/binary-amd64/Release`));
	t.regex(String(lists.get('dists/trixie/Release')), /^ [0-9a-f]{64} \d+ main\/binary-amd64\/Packages$/m);
	t.is(files.get('pool/main/x/zlib1g_1_amd64.deb'), '/cache/packages/zlib1g_1_amd64.deb');
	t.is(files.get('pool/main/x/partman-base_1_amd64.udeb'), '/cache/packages/partman-base_1_amd64.udeb');
});
