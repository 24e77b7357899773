import test from 'ava';
import {probeRecord, type RecordedMachine, recordProbe} from './record.ts';

test('a record answers as the machine did, and holds no private key and no password', async t => {
	const key = '-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0\n-----END OPENSSH PRIVATE KEY-----\n';
	const real = probeRecord({
		commands: {'getent shadow': 'root:*:1::\nadmin:$y$j9T$salt$hash:1::\n', 'uname --nodename': 'node\n'},
		files: {
			'/etc/shadow': 'root:*:1::\nadmin:$y$j9T$salt$hash:1::\n',
			'/etc/ssh/ssh_host_rsa_key': key,
			'/etc/bringup/secrets/env-X': 'secret',
			'/home/web/secretsdata.json': '{"id": "c2VjcmV0"}',
			'/etc/hostname': 'node\n',
		},
	});
	const record: RecordedMachine = {commands: {}, files: {}};
	const probe = recordProbe(real, record);
	t.regex(await probe.output(['getent', 'shadow']), /salt/);
	t.is(await probe.read('/etc/ssh/ssh_host_rsa_key'), key);
	t.is(await probe.read('/etc/bringup/secrets/env-X'), 'secret');
	t.is(await probe.read('/home/web/secretsdata.json'), '{"id": "c2VjcmV0"}');
	t.is(await probe.read('/absent'), undefined);
	await probe.output(['uname', '--nodename']);
	await probe.read('/etc/hostname');
	t.regex((await probe.read('/etc/shadow')) ?? '', /salt/);
	t.deepEqual(record, {
		commands: {'getent shadow': 'root:*:1::\nadmin:(hash):1::\n', 'uname --nodename': 'node\n'},
		files: {
			'/etc/ssh/ssh_host_rsa_key': '-----END OPENSSH PRIVATE KEY-----\n',
			'/etc/hostname': 'node\n',
			'/etc/shadow': 'root:*:1::\nadmin:(hash):1::\n',
		},
	});
});
