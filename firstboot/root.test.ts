import test from 'ava';
import {checkRoot} from './root.ts';
import {sequences} from './sequence.ts';

test('whoever is not root is told how to run each command, but for the status', t => {
	for (const command of ['plan', 'reachable', 'start-k3s', ...Object.keys(sequences)])
		t.throws(() => checkRoot(command, ['--json'], 1000), {message: new RegExp(`run: sudo bringup ${command} --json$`)});
	t.notThrows(() => checkRoot('status', [], 1000));
	t.notThrows(() => checkRoot('plan', [], 0));
});
