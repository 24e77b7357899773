import {createHash} from 'node:crypto';
import {Readable} from 'node:stream';
import {buffer} from 'node:stream/consumers';
import test from 'ava';
import {extract} from 'tar-stream';
import {packWebImage} from './web-image.ts';

const sha256 = (data: Buffer) => createHash('sha256').update(data).digest('hex');

async function unpack(archive: Buffer): Promise<Map<string, Buffer>> {
	const files = new Map<string, Buffer>();
	const reader = extract();
	Readable.from([archive]).pipe(reader);
	for await (const entry of reader) files.set(entry.header.name, await buffer(entry));
	return files;
}

test('the digests in the web image are those of what it holds', async t => {
	const archive = await packWebImage(Buffer.from('busybox'), 'hello\n', 'localhost/web:1');
	const files = await unpack(archive);
	const [image] = JSON.parse(String(files.get('manifest.json')));
	t.deepEqual(image.RepoTags, ['localhost/web:1']);
	const config = files.get(image.Config) as Buffer;
	t.is(image.Config, `${sha256(config)}.json`);
	const layer = files.get(image.Layers[0]) as Buffer;
	t.deepEqual(JSON.parse(String(config)).rootfs.diff_ids, [`sha256:${sha256(layer)}`]);
	const root = await unpack(layer);
	t.deepEqual([...root.keys()], ['bin/', 'bin/busybox', 'www/', 'www/index.html']);
	t.is(String(root.get('www/index.html')), 'hello\n');
	t.deepEqual(await packWebImage(Buffer.from('busybox'), 'hello\n', 'localhost/web:1'), archive);
});
