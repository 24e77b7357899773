import {join} from 'node:path';
import test from 'ava';
import {packageFolder} from '../paths.ts';
import {completeProfile, noteMirror} from './complete.ts';
import {loadProfile} from './profile.ts';

const own = 'http://mirror.example/debian';

const debianMirror = 'http://archive.example/debian';

async function complete(mirror: string | undefined, securityMirror?: string) {
	const profile = await loadProfile(join(packageFolder, 'profiles/node.yaml'));
	const completed = completeProfile(profile, {mirror, securityMirror, debianMirror, sshKeys: []});
	if (Array.isArray(completed)) throw new Error(JSON.stringify(completed));
	return {...completed.fields.debian, note: noteMirror(completed)};
}

test("a machine has the workstation's mirror where every machine may", async t => {
	const {mirror, onMachine, note} = await complete(own);
	t.is(mirror, own);
	t.deepEqual(onMachine, {mirror: own, securityMirror: 'http://mirror.example/debian-security'});
	t.is(note, undefined);
});

test("a mirror with a password or a loopback address is the build's alone, and the build says so", async t => {
	for (const mirror of [
		'http://alice:s3cret@mirror.example/debian',
		'http://alice@mirror.example/debian',
		'http://127.0.0.1:3142/debian',
		'http://localhost:3142/debian',
		'http://cache.localhost./debian',
		'http://[::1]:3142/debian',
	]) {
		const {mirror: ofBuild, onMachine, note} = await complete(mirror);
		t.is(ofBuild, mirror);
		t.deepEqual(onMachine, {mirror: debianMirror, securityMirror: `${debianMirror}-security`}, mirror);
		t.regex(note ?? '', /the machine gets/);
		t.false(note?.includes('s3cret'));
	}
	t.regex((await complete(own, 'http://127.0.0.1:3142/debian-security')).onMachine.securityMirror, /archive\.example/);
});

test("where the workstation has no mirror of Debian's, Debian's own is taken", async t => {
	const {mirror, securityMirror, note} = await complete(undefined);
	t.is(mirror, debianMirror);
	t.is(securityMirror, `${debianMirror}-security`);
	t.is(note, undefined);
});

test('where no mirror is known, or none that a machine may be told, the profile must say one', async t => {
	const profile = await loadProfile(join(packageFolder, 'profiles/node.yaml'));
	for (const mirror of [undefined, 'http://localhost:3142/debian'])
		t.like(completeProfile(profile, {mirror, securityMirror: undefined, sshKeys: []}), [{path: ['debian', 'mirror']}]);
	const securityMirror = 'http://127.0.0.1/debian-security';
	t.like(completeProfile(profile, {mirror: own, securityMirror, sshKeys: []}), [{path: ['debian', 'securityMirror']}]);
});
