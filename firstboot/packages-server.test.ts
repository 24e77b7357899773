import {mkdtemp, rm, writeFile} from 'node:fs/promises';
import type {AddressInfo} from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {servePackages} from './packages-server.ts';

test('the packages of the medium are read, whatever a client escapes, and nothing outside is', async t => {
	const folder = await mkdtemp(join(tmpdir(), 'bringup-packages-'));
	await writeFile(join(folder, 'a+b~1_amd64.deb'), 'deb');
	const server = await servePackages(folder, 0);
	const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
	try {
		for (const path of ['/a+b~1_amd64.deb', '//a%2bb%7e1_amd64.deb']) {
			const answer = await fetch(`${base}${path}`);
			t.is(await answer.text(), 'deb');
			t.is(answer.headers.get('content-length'), '3');
		}
		for (const path of ['/', '/none', '/%2e%2e/%2e%2e/etc/passwd', '/%zz'])
			t.is((await fetch(`${base}${path}`)).status, 404, path);
	} finally {
		server.close();
		await rm(folder, {recursive: true});
	}
});
