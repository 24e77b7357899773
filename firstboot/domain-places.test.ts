import test from 'ava';
import {checkDisks, checkMounted} from './domain-places.ts';
import {foldersOf, mountsOf} from './folders.test.machine.ts';
import {probeRecord} from './record.ts';
import {type PlacedDomain, placeDomains, virtualizationSchema} from './virtualization.ts';

const folder = '/srv/vms';
const path = `${folder}/one-0.qcow2`;

function place(...disks: object[]): PlacedDomain {
	const pools = {images: {path: folder}, fast: {volumeGroup: 'vg0'}, zfs: {dataset: 'tank/vms'}};
	const domains = {one: {cpus: 1, memory: '1G', disks}};
	return placeDomains(virtualizationSchema.parse({pools, domains}), '0'.repeat(32))[0] as PlacedDomain;
}

const define = (...sources: string[]) =>
	sources
		.map((source, index) => {
			const kind = source.startsWith('/dev/') ? 'dev' : 'file';
			return `<disk>\n  <source ${kind}='${source}' index='1'/>\n  <target dev='vd${'abc'[index]}' bus='virtio'/>\n</disk>`;
		})
		.join('\n');

/** What is said of a domain of these disks and this definition, where these files and volumes are. */
async function check(disks: object[], definition: string | undefined, ...there: string[]): Promise<string> {
	const blocks = there
		.filter(one => one.startsWith('/dev/'))
		.map(one => [one, {bytes: 1, extent: 1, plain: true}] as const);
	const storage = {paths: new Set(there.filter(one => one.startsWith(folder))), blocks: new Map(blocks)};
	const probe = probeRecord({commands: {}, files: foldersOf(there)});
	return checkDisks(place(...disks), definition, storage, probe).then(
		() => '',
		error => (error as Error).message,
	);
}

const disk = {pool: 'images', size: '8G'};

test('a disk that a defined domain has and that is gone is not made again, of every kind of pool', async t => {
	const kinds = [
		[disk, path],
		[{pool: 'fast', size: '1G'}, '/dev/vg0/one-0'],
		[{pool: 'zfs', size: '1G'}, '/dev/zvol/tank/vms/one-0'],
	] as const;
	for (const [one, at] of kinds) {
		t.regex(
			await check([one], define(at)),
			new RegExp(`disks\\[0\\] of the domain one.* is gone: there is no ${at}\\. `),
		);
		t.is(await check([one], define(at), at), '');
		t.is(await check([one], undefined), '', 'a domain that is not defined is new');
	}
});

test('a further disk is made; of two, the one that is gone is named', async t => {
	t.is(await check([disk, disk], define(path), path), '');
	t.regex(await check([disk, disk], define(path, `${folder}/one-1.qcow2`), path), /disks\[1\] of the domain one/);
});

test('a disk that is given another place is not made anew there, without what is on it', async t => {
	const old = '/old/one-0.qcow2';
	t.regex(
		await check([disk], define(old), old),
		/lies at \/old\/one-0\.qcow2, and the profile puts it at \/srv\/vms\/.*move it there/,
	);
	t.is(await check([disk], define(old), path), '', 'a person has moved it');
	t.regex(await check([disk], define(old), path, old), /lies at \/old\/one-0\.qcow2, and there is another one at/);
	t.regex(await check([disk], define(old)), /is gone: there is no \/old\/one-0\.qcow2/);
});

const mounts: [title: string, files: Record<string, string>, mounted: string[], wrong: RegExp | undefined][] = [
	['is mounted', {'/etc/fstab': 'nas:/vms /srv/vms nfs defaults 0 0\n'}, ['/', '/srv/vms'], undefined],
	[
		'of fstab is not',
		{'/etc/fstab': 'nas:/vms\t/srv/vms/ nfs noauto\n'},
		['/'],
		/lies in \/srv\/vms, and nothing is mounted at \/srv\/vms\//,
	],
	['above it is not', {'/etc/fstab': '# x\nUUID=1 /srv ext4\n'}, ['/'], /nothing is mounted at \/srv, .*mount \/srv\)/],
	['of another folder is not', {'/etc/fstab': 'UUID=1 /srv/vms2 ext4\nUUID=2 none swap sw 0 0\n'}, ['/'], undefined],
	['of a unit is not', foldersOf(['/etc/systemd/system/srv-vms.mount']), ['/'], /nothing is mounted at \/srv\/vms/],
	[
		'of a masked unit is not',
		foldersOf(['/etc/systemd/system/srv-vms.mount\tl\t9\t0\t0\t/dev/null']),
		['/'],
		undefined,
	],
	['of a unit with a dash is not', foldersOf(['/etc/systemd/system/srv\\x2dvms.mount']), ['/'], undefined],
];
for (const [title, files, mounted, wrong] of mounts)
	test(`a folder of disks, where a mount ${title}: ${wrong ? 'refused' : 'right'}`, async t => {
		const probe = probeRecord({commands: {}, files: {...mountsOf(...mounted), ...files}});
		const check = checkMounted([{name: 'images', path: folder}], probe);
		if (wrong) await t.throwsAsync(check, {message: wrong});
		else await t.notThrowsAsync(check);
	});
