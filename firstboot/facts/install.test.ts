import test from 'ava';
import {installSchema} from '../disks.ts';
import {storageSchema} from '../volumes.ts';
import {checkInstall} from './install.ts';

const install = (disk: object, wipe = 'empty') => installSchema.parse({disk, wipe});
const storage = (disk: object) => storageSchema.parse({disks: {data: disk}});
const paths = (sections: Parameters<typeof checkInstall>[0]) => checkInstall(sections).map(({path}) => path.join('.'));

test('what lets any content go names one disk by its serial or wwid', t => {
	for (const kind of [{minSize: '16G'}, {model: 'EXAMPLE*'}, {transport: 'usb', maxSize: '2T'}]) {
		t.deepEqual(paths({install: install(kind, 'any')}), ['install.wipe']);
		t.deepEqual(paths({storage: storage({...kind, wipe: true})}), ['storage.disks.data.wipe']);
		t.deepEqual(paths({install: install(kind, 'same-machine'), storage: storage(kind)}), []);
	}
	for (const one of [{serial: 'A'}, {wwid: 'eui.01', minSize: '16G'}])
		t.deepEqual(paths({install: install(one, 'any'), storage: storage({serial: 'B', wipe: true})}), []);
});

test('one disk is not the system disk and a data disk', t => {
	const same = (one: object, other: object) => paths({install: install(one), storage: storage(other)}).length > 0;
	t.true(same({serial: 'A'}, {serial: 'A'}));
	t.true(same({serial: 'A', minSize: '1T'}, {serial: ' A ', model: 'EXAMPLE'}));
	t.true(same({wwid: '0x5002538F12345678'}, {wwid: 'naa.5002538f12345678'}));
	t.false(same({serial: 'A'}, {serial: 'B'}));
	t.false(same({serial: 'A', model: 'ONE'}, {serial: 'A', model: 'TWO'}));
	t.false(same({minSize: '16G'}, {minSize: '16G'}));
});
