import {mkdir, readdir, readFile, stat, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {boot, machines, makeDesk, own, read, stranger, take, times, tokenOf, withTree} from './desk.test.parts.ts';
import {findMachine} from './machines.ts';

test('a machine is known by all that its entry gives, and by nothing less', t => {
	t.is(findMachine(machines, {mac: '52:54:00:62:75:01'}), 'web-1');
	t.is(findMachine(machines, {mac: '52:54:00:00:00:09', serial: 'ABC-1'}), 'nas-1');
	t.is(findMachine(machines, {mac: '52:54:00:00:00:09'}), undefined);
	t.is(findMachine(machines, {mac: '52:54:00:62:75:01', serial: 'ABC-1'}), undefined, 'two entries are none');
});

test('a machine is installed once for each order, and then boots its disk', async t =>
	withTree(async (folder, tree) => {
		const said: string[] = [];
		const desk = makeDesk(folder, {tree, said});
		const menu = (await read(desk, boot)) ?? '';
		const token = tokenOf(menu);
		const place = `192.0.2.1:8080/machines/web-1/${token}`;
		t.true(menu.includes(`linux (http,192.0.2.1:8080)/machines/web-1/${token}/vmlinuz `));
		t.true(menu.includes(` fetch=http://${place} `));
		t.false(await take(desk, 'f'.repeat(32), {state: 'done'}));
		t.false(await take(desk, token, {state: 'tired'}));
		t.true(await take(desk, token, {state: 'running'}));
		const failure = {phase: 'disk', message: 'no disk matches'};
		t.true(await take(desk, token, {state: 'failed', failures: [failure]}));
		const second = tokenOf(await read(desk, boot));
		t.regex(second, /^[0-9a-f]{32}$/, 'a failed order is tried again');
		t.false(await take(desk, token, {state: 'done'}), 'by a word of its own');
		t.true(await take(desk, second, {state: 'done'}));
		t.notRegex(
			(await read(makeDesk(folder, {tree}), boot)) ?? '',
			/^linux /m,
			'also by a server that was started anew',
		);
		t.false(await take(desk, second, {state: 'done'}), 'an old word opens nothing');
		const again = {...machines, 'web-1': {...machines['web-1'], order: '2'}};
		t.regex((await read(makeDesk(folder, {tree, given: again}), boot)) ?? '', /^linux /m);
		t.deepEqual(said, [
			...['web-1 booting', 'web-1 installing', 'web-1 failed phase disk: no disk matches'],
			...['web-1 booting', 'web-1 installed'],
		]);
	}));

test('a machine that nobody knows is shown who it is, and is not installed', async t =>
	withTree(async (folder, tree) => {
		const said: string[] = [];
		const menu = (await read(makeDesk(folder, {tree, said}), '/boot/52:54:00:00:00:09/-/SN-9', '192.0.2.9')) ?? '';
		t.regex(menu, /mac: 52:54:00:00:00:09/);
		t.regex(menu, /serial: SN-9/);
		t.regex(menu, /[▀▄█]/);
		t.notRegex(menu, /^linux/m);
		t.deepEqual(said, ['unknown machine: mac 52:54:00:00:00:09, serial SN-9']);
	}));

test("a machine that debian-installer installs gets its packages' place, how long to wait, and its own machine.json", async t =>
	withTree(
		async (folder, tree) => {
			const desk = makeDesk(folder, {tree});
			const menu = (await read(desk, boot)) ?? '';
			const token = tokenOf(menu);
			const mine = `/machines/web-1/${token}`;
			for (const words of [
				`linux (http,192.0.2.1:8080)${mine}/vmlinuz mirror/http/hostname=192.0.2.1:8080 `,
				`mirror/http/directory=${mine}/installer-0123456789abcdef netcfg/enable=true`,
				`netcfg/dhcp_timeout=60 bringup.machine=http://192.0.2.1:8080${mine}/machine.json`,
				`initrd (http,192.0.2.1:8080)${mine}/initrd.img\n`,
			])
				t.true(menu.includes(words), words);
			t.is(await read(desk, `${mine}/initrd.img`), 'secret!');
			t.is(await read(desk, `${mine}/machine.json`), '{"own":"secret"}');
			t.true(await take(desk, token, {state: 'running'}));
			t.is(await read(desk, `${mine}/initrd.img`), undefined, 'it has all that is secret');
			t.is(await read(desk, `${mine}/installer-0123456789abcdef/dists/x`), 'list', 'and fetches packages to the end');
		},
		{method: 'debian-installer', layers: []},
	));

test('who is not the network card of a machine gets nothing secret, cannot end its install, and is shown to the operator', async t =>
	withTree(async (folder, tree) => {
		const said: string[] = [];
		const desk = makeDesk(folder, {tree, said});
		for (const from of [stranger.address, '198.51.100.7'])
			t.notRegex((await read(desk, boot, from)) ?? '', /linux|[0-9a-f]{32}/, 'the menu of another');
		t.true(said.every(line => /says that it is 52:54:00:62:75:01, and gets nothing/.test(line)));
		const token = tokenOf(await read(desk, boot));
		const files = ['SHA256SUMS', '10-base.squashfs', '20-profile.squashfs', '30-machine.squashfs', 'machine.json'];
		const guesses = [
			...files.flatMap(file => [`/machines/web-1/${file}`, `/machines/web-1/${'0'.repeat(32)}/${file}`]),
			...[...tree.files.keys()].flatMap(path => [`/trees/node/${path}`, `/node/${path}`]),
			...[...tree.files.keys()].filter(path => !/\.(efi|pxe)$|^grub\/grub\.cfg$/.test(path)).map(path => `/${path}`),
			...['/', '/machines', '/machines/', '/machines/web-1/', '/trees/', '/machines/web-1/../../etc/passwd'],
			...[`/machines/web-1/${token}/`, `/machines/web-1/${token}/../tree.json`, `/machines/web-1/${token}/tree.json`],
			`/machines/nas-1/${token}/20-profile.squashfs`,
		];
		for (const path of guesses)
			for (const from of [own.address, stranger.address]) t.is(await read(desk, path, from), undefined, path);
		// With the word, which was read on the wire, and from another card.
		for (const file of [...files, 'vmlinuz'])
			t.is(await read(desk, `/machines/web-1/${token}/${file}`, stranger.address), undefined, file);
		t.false(await take(desk, token, {state: 'done'}, stranger.address));
		t.regex(said.at(-1) ?? '', /192\.0\.2\.66 \(52:54:00:66:66:66\) has the word of web-1, and gets nothing/);
		t.is(await read(desk, `/machines/web-1/${token}/20-profile.squashfs`), 'secret!', 'the machine itself has all');
		t.true(await take(desk, token, {state: 'done'}));
		t.is(await read(desk, `/machines/web-1/${token}/20-profile.squashfs`), undefined);
	}));

test('the secrets of an order are for one boot: a second one is refused and shown, until the time of the first is over', async t =>
	withTree(async (folder, tree) => {
		const said: string[] = [];
		const desk = makeDesk(folder, {tree, said});
		const lost = tokenOf(await read(desk, boot));
		const token = tokenOf(await read(desk, boot));
		t.not(token, lost, 'nothing was fetched yet: another word');
		t.is(await read(desk, `/machines/web-1/${lost}/SHA256SUMS`), undefined);
		t.is(await read(desk, `/machines/web-1/${token}/vmlinuz`), 'linux');
		t.is(tokenOf(await read(desk, boot)).length, 32, 'the kernel is nothing secret');
		const used = tokenOf(await read(desk, boot));
		const sums = `${'a'.repeat(64)}  10-base.squashfs\n${'c'.repeat(64)}  20-profile.squashfs\n${'b'.repeat(64)}  30-machine.squashfs\n`;
		t.is(await read(desk, `/machines/web-1/${used}/SHA256SUMS`), sums);
		const refused = (await read(desk, boot)) ?? '';
		t.notRegex(refused, /^linux|[0-9a-f]{32}/m);
		t.regex(refused, /its install is under way/);
		t.regex(said.at(-1) ?? '', /^web-1: its install is under way.*begins again at .* UTC.*192\.0\.2\.101/);
		t.is(await read(desk, `/machines/web-1/${used}/30-machine.squashfs`), 'secret of web-1', 'the first goes on');
		t.true(await take(desk, used, {state: 'running'}));
		t.is(await read(desk, `/machines/web-1/${used}/20-profile.squashfs`), undefined, 'it runs, and needs no more');
		t.notRegex((await read(desk, boot)) ?? '', /^linux/m);
		const later = makeDesk(folder, {tree, said, times: {...times, grant: -1}});
		t.regex((await read(later, boot)) ?? '', /^linux/m, 'after a power cut it begins again by itself');
		t.true(said.includes('web-1 begins its install again: what it was given before is void'));
		t.false(await take(desk, used, {state: 'done'}));
	}));

test('a word that is too old gives nothing secret; an order that nobody began is closed', async t =>
	withTree(async (folder, tree) => {
		const desk = makeDesk(folder, {tree});
		await desk.open('web-1');
		const token = tokenOf(await read(desk, boot));
		const late = makeDesk(folder, {tree, times: {...times, grant: -1}});
		t.is(await read(late, `/machines/web-1/${token}/20-profile.squashfs`), undefined);
		const given = {...machines, 'web-1': {...machines['web-1'], order: '2'}};
		await makeDesk(folder, {tree, given}).open('web-1');
		const closed = makeDesk(folder, {tree, given, times: {...times, order: -1}});
		t.regex((await read(closed, boot)) ?? '', /nobody began its order until .* UTC.*closed/);
		t.is(await read(closed, `/machines/web-1/${token}/vmlinuz`), undefined, 'and the order before gives nothing');
	}));

test('a slow machine that still asks keeps its word', async t =>
	withTree(async (folder, tree) => {
		const desk = makeDesk(folder, {tree, times: {...times, grant: 600_000}});
		const token = tokenOf(await read(desk, boot));
		const path = join(folder, 'state/web-1.json');
		const age = async (minutes: number) => {
			const entry = JSON.parse(await readFile(path, 'utf8'));
			entry.running.seen = new Date(Date.now() - minutes * 60_000).toISOString();
			await writeFile(path, JSON.stringify(entry));
		};
		for (let round = 0; round < 3; round++) {
			await age(9);
			t.is(await read(desk, `/machines/web-1/${token}/10-base.squashfs`), 'base');
		}
		t.notRegex((await read(desk, boot)) ?? '', /^linux/m);
		await age(11);
		t.is(await read(desk, `/machines/web-1/${token}/10-base.squashfs`), undefined);
		t.regex((await read(desk, boot)) ?? '', /^linux/m);
	}));

test('requests of one machine at once are answered one after another', async t =>
	withTree(async (folder, tree) => {
		const desk = makeDesk(folder, {tree});
		const tokens = (await Promise.all(Array.from({length: 8}, () => read(desk, boot)))).map(tokenOf);
		t.is(new Set(tokens).size, 8);
		const sums = await Promise.all(tokens.map(token => read(desk, `/machines/web-1/${token}/SHA256SUMS`)));
		t.is(sums.filter(Boolean).length, 1, 'one word is the last, and valid');
		const right = tokens[sums.findIndex(Boolean)] ?? '';
		const reports = await Promise.all(Array.from({length: 8}, () => take(desk, right, {state: 'running'})));
		t.deepEqual(reports, Array(8).fill(true));
		t.deepEqual((await readdir(join(folder, 'state'))).sort(), ['web-1.json', 'web-1.report.json']);
		for (const name of await readdir(join(folder, 'state')))
			t.is((await stat(join(folder, 'state', name))).mode & 0o777, 0o600);
	}));

test('a machine whose file is damaged is not installed, and the operator is told which file', async t =>
	withTree(async (folder, tree) => {
		await mkdir(join(folder, 'state'));
		for (const text of ['oops', '{}', '[]', 'null', '{"state":"x","at":1}', '']) {
			await writeFile(join(folder, 'state/web-1.json'), text);
			const said: string[] = [];
			const menu = (await read(makeDesk(folder, {tree, said}), boot)) ?? '';
			t.notRegex(menu, /^linux/m);
			t.regex(menu, /it says why on its own screen/);
			t.regex(said.join(), /web-1\.json is damaged.*Mend it, or remove it/);
		}
	}));
