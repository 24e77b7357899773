import {mkdir, mkdtemp, readdir, rm, symlink, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {apply} from './apply.ts';
import {checkDisks} from './disk-check.ts';

test('a step on a disk is not run when the disk is another than the one that it was planned for', async t => {
	const folder = await mkdtemp(join(tmpdir(), 'bringup-test-'));
	t.teardown(() => rm(folder, {recursive: true}));
	const disk = join(folder, '7');
	await writeFile(join(folder, 'sdb'), '');
	await symlink('sdb', disk);
	const wwid = join(folder, 'sys/sdb/device/wwid');
	await mkdir(join(folder, 'sys/sdb/device'), {recursive: true});
	await writeFile(wwid, 'naa.01\n');
	await writeFile(join(folder, 'sys/sdb/diskseq'), '7\n');
	const on = [{disk, is: {diskseq: '7', 'device/wwid': 'naa.01'}}];
	const sysfs = join(folder, 'sys');
	await t.notThrowsAsync(checkDisks(on, sysfs));
	await writeFile(wwid, 'naa.02\n');
	await t.throwsAsync(checkDisks(on, sysfs), {
		message: /^sdb is not the disk .*: its device\/wwid was naa\.01 and is naa\.02; nothing was done to it$/,
	});
	await rm(wwid);
	await t.throwsAsync(checkDisks(on, sysfs), {message: /its device\/wwid was naa\.01 and is not known/});
	await rm(disk);
	await t.throwsAsync(checkDisks(on, sysfs), {message: /7 is gone/});
	const touch = {do: 'run', command: ['touch', join(folder, 'touched')], on, why: 'touch'} as const;
	await t.throwsAsync(
		apply(touch, () => {}),
		{message: /7 is gone/},
	);
	t.false((await readdir(folder)).includes('touched'));
});
