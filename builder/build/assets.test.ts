import {createHash} from 'node:crypto';
import {writeFile} from 'node:fs/promises';
import {createServer} from 'node:http';
import type {AddressInfo} from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {withFolder} from '../folder.ts';
import {fetchAssets, makeAssetLayer, type PlacedAsset, tellLeft} from './assets.ts';

const digest = (text: string) => createHash('sha256').update(text).digest('hex');

function optionsIn(cache: string, said: string[] = []) {
	const signal = new AbortController().signal;
	const mac = (text: string) => digest(`key of this test ${text}`);
	return {cache, mac, proxy: undefined, locked: false, refresh: false, say: (line: string) => said.push(line), signal};
}

/** A host that lets nobody finish a word, until it is well again. */
async function withHost(use: (url: string, host: {asked: number; well: boolean}) => Promise<void>): Promise<void> {
	const host = {asked: 0, well: false};
	const server = createServer((request, response) => {
		host.asked++;
		if (host.well) response.end(request.url);
		else response.destroy();
	});
	await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
	try {
		await use(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, host);
	} finally {
		server.closeAllConnections();
		server.close();
	}
}

const assetAt = (url: string, path: string, delivery: 'auto' | 'embedded' | 'machine' = 'auto'): PlacedAsset => ({
	sha256: digest(path),
	from: {url: `${url}${path}`, delivery},
});

test('a host that did not answer is asked for no other asset, and by no other build for a while', t =>
	withFolder(tmpdir(), cache =>
		withHost(async (url, host) => {
			const assets = [assetAt(url, '/one'), assetAt(url, '/two'), assetAt(url, '/three', 'machine')];
			const said: string[] = [];
			const first = await fetchAssets(assets, optionsIn(cache, said));
			t.is(first.left.length, 3);
			const {asked} = host;
			t.true(asked > 0 && asked <= 4);
			const began = performance.now();
			const again = await fetchAssets(assets, optionsIn(cache, said));
			t.is(host.asked, asked);
			t.true(performance.now() - began < 500);
			t.deepEqual(said, []);
			// What a new medium lacks is told with the reason, and how to ask again; what was to be left is not.
			tellLeft(again, line => said.push(line));
			t.is(said.length, 2);
			t.regex(said[0] ?? '', /one is not on the medium, the machine fetches it itself: .*--refresh asks again/);
			host.well = true;
			const {files, left} = await fetchAssets(assets, {...optionsIn(cache), refresh: true});
			t.deepEqual([files.size, left.length], [2, 1]);
			t.is(host.asked, asked + 2);
		}),
	));

test('what must be on the medium is asked for each time', t =>
	withFolder(tmpdir(), cache =>
		withHost(async (url, host) => {
			await fetchAssets([assetAt(url, '/one')], optionsIn(cache));
			const {asked} = host;
			await t.throwsAsync(fetchAssets([assetAt(url, '/two', 'embedded')], optionsIn(cache)), {
				message: /could not fetch/,
			});
			t.true(host.asked > asked);
			host.well = true;
			const {files} = await fetchAssets([assetAt(url, '/two', 'embedded')], optionsIn(cache));
			t.is(files.size, 1);
		}),
	));

test('an asset in the cache that is not what it was is fetched again before it goes onto a medium', t =>
	withFolder(tmpdir(), cache =>
		withHost(async (url, host) => {
			host.well = true;
			const asset = assetAt(url, '/one');
			const options = optionsIn(cache);
			await fetchAssets([asset], options);
			await writeFile(join(cache, 'assets', asset.sha256), '/0ne');
			const found = await fetchAssets([asset], options);
			t.is(host.asked, 1);
			const layer = await makeAssetLayer([asset], found, 0, options);
			t.is(host.asked, 2);
			t.deepEqual(layer.embedded, [asset.sha256]);
			t.true(await layer.verify());
		}),
	));
