import test from 'ava';
import {findMirrors} from './workstation.ts';

const line = (uri: string, suite: string) => `'${uri}/dists/${suite}/main/binary-amd64/Packages.xz' x 0\n`;
const debian = 'http://mirror.example/some/debian';

test("the mirror is that of Debian's own suite, and not of what else is called stable", t => {
	const chrome = line('https://other.example/chrome/deb', 'stable');
	t.deepEqual(findMirrors(chrome), {mirror: undefined, securityMirror: undefined});
	t.deepEqual(
		findMirrors(
			chrome +
				line(debian, 'trixie') +
				line(debian, 'trixie-updates') +
				line('http://mirror.example/security', 'trixie-security'),
		),
		{mirror: debian, securityMirror: 'http://mirror.example/security'},
	);
});

test('a mirror of another name is known by the updates beside it', t => {
	const uri = 'http://mirror.example/deb';
	t.is(findMirrors(line(uri, 'bookworm') + line(uri, 'bookworm-updates')).mirror, uri);
	t.is(findMirrors(line(uri, 'bookworm')).mirror, undefined);
	t.is(findMirrors(line('http://mirror.example/ubuntu', 'noble')).mirror, undefined);
});
