import {writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {withFolder} from '../builder/folder.ts';
import {run} from '../builder/run.ts';
import {formatTable} from './nftables.ts';
import {renderSpoofing} from './spoofing.ts';
import {placeDomains, virtualizationSchema} from './virtualization.ts';

const link = {network: 'lan', mac: '52:54:00:00:00:0b'};

function render(...networks: object[]) {
	const domain = {cpus: 1, memory: '1G', disks: [{pool: 'images', size: '1G'}], networks};
	const placed = placeDomains(virtualizationSchema.parse({domains: {one: domain}}), '0'.repeat(32));
	return formatTable(renderSpoofing(placed));
}

/** nft reads the rules in a network of its own, where nothing is changed. */
async function check(text: string): Promise<string> {
	return withFolder(tmpdir(), async folder => {
		const path = join(folder, 'rules.nft');
		await writeFile(path, text);
		// By its path: the test runner brings another program of this name.
		return run(['unshare', '--user', '--map-root-user', '--net', '/usr/sbin/nft', '--check', '--file', path]);
	});
}

const static4 = {...link, addresses: ['192.0.2.11/24'], floating: ['192.0.2.0/28', '192.0.2.11']};
const static6 = {...link, addresses: ['192.0.2.11/24', '2001:db8::11/64'], floating: ['2001:db8:1::/48', '::/0']};

test('nftables takes the rules', async t => {
	const sets = [[], [link], [static4], [static6], [link, {...static6, mac: '52:54:00:00:00:0c'}]];
	for (const set of sets) t.is(await check(render(...set)), '');
	await t.throwsAsync(check(render(link).replace('drop', 'dropp')));
});

test('a link without known addresses is held to its MAC address, in frames and in ARP', t => {
	const text = render(link);
	t.regex(
		text,
		/chain one-0 \{\n\t\tether saddr != 52:54:00:00:00:0b drop\n[^}]*\}[^}]*\}[^}]*\}[^}]*\tarp saddr ether != 52:54:00:00:00:0b drop\n\t\}/,
	);
	t.regex(text, /iifname vmap \{ "one-0" : jump one-0 \}/);
});

test('a link with known addresses may send from these, from none yet, and from its link-local ones', t => {
	const text = render(static6);
	t.regex(text, /chain ip-one-0 \{\n\t\tip saddr 0\.0\.0\.0 accept\n\t\tip saddr 192\.0\.2\.11 accept\n\t\tdrop/);
	t.regex(text, /ip6 saddr :: accept\n\t\tip6 saddr fe80::\/10 accept\n\t\tip6 saddr 2001:db8::11 accept\n/);
	t.regex(
		text,
		/@th,64,10 0x3fa accept\n\t\t@th,64,128 0x20010db8000000000000000000000011 accept\n\t\t@th,64,48 0x20010db80001 accept/,
	);
});

test('a link that is trusted has no rules', t => {
	t.false(render({...link, antiSpoofing: false}).includes('one-0'));
});
