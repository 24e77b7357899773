import test from 'ava';
import {installSchema} from '../disks.ts';
import {size} from '../sequence.ts';
import {storageSchema} from '../volumes.ts';
import {checkSelectors} from './selectors.ts';

test('a selector whose sizes no disk has is a fault', t => {
	const paths = (disk: object) => {
		const sections = {install: installSchema.parse({disk}), storage: storageSchema.parse({disks: {a: disk}})};
		return checkSelectors(sections).map(({path}) => path.join('.'));
	};
	t.deepEqual(paths({minSize: '20G', maxSize: '20GB'}), ['install.disk.maxSize', 'storage.disks.a.maxSize']);
	t.deepEqual(paths({minSize: '20GB', maxSize: '20G'}), []);
	t.deepEqual(paths({minSize: '20G', maxSize: '20G'}), []);
	t.deepEqual(paths({maxSize: '1M'}), []);
});

test('a size is more than nothing', t => {
	for (const none of ['0G', '0.0T', '00KB']) t.false(size.safeParse(none).success, none);
	for (const some of ['1G', '0.5T', '10M', '20.0GB']) t.true(size.safeParse(some).success, some);
});
