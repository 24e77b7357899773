import test from 'ava';
import {PartsError} from '../phase.ts';
import {containersSchema} from '../quadlet.ts';
import {probeRecord} from '../record.ts';
import {blank, config, folder, machine, parse, storage, web, whys} from './containers.test.machine.ts';
import {containers} from './containers.ts';

test('a secret that left the profile is removed once nothing uses it; one that a person made stays', async t => {
	const {token: _, ...secrets} = web.secrets;
	const {Secret: __, ...container} = web.units['web.container'].Container;
	const units = {...web.units, 'web.container': {...web.units['web.container'], Container: container}};
	const steps = await containers.plan(parse({...web, secrets, units}), machine());
	t.deepEqual(whys(steps).slice(-3), [
		'restart web.service (their log: journalctl _UID=2001) of web',
		'remove the secret token of web, which is not in the profile',
		'note the secrets of web that are left',
	]);
	const mine = {
		[`${storage}/secrets/secrets.json`]: '{"nameToID": {"mine": "1", "token": "75dd24201aea19870c4b10f30"}}',
	};
	t.deepEqual(await containers.plan(config, machine({}, mine)), []);
	const cut = {'/var/lib/bringup/owned/secrets-of-web': undefined};
	t.deepEqual(whys(await containers.plan(config, machine({}, cut))), ['note the secrets of web that are made']);
});

test('the units and secrets of a user who left the profile go, and what is in the home stays', async t => {
	const none = containersSchema.parse({users: {}});
	const listed = {[`${folder}/`]: '2001\td\n'};
	const steps = await containers.plan(none, machine({}, listed));
	t.deepEqual(whys(steps), [
		'let web run no more without a login',
		'stop the containers of web, who is not in the profile',
		`remove the units of web; volumes and images stay in its home`,
		'remove the secrets of web',
		'note the secrets of web that are left',
		'have no manager of a container user started at boot',
		'let systemd see it',
	]);
	t.deepEqual(await containers.absent?.(machine({}, listed)), steps);
	t.false(
		steps.some(step => step.do === 'run' && /userdel|\/home/.test(step.command.join(' ')) && step.command[0] === 'rm'),
	);
	t.deepEqual(await containers.plan(none, probeRecord(blank)), []);
	t.deepEqual(await containers.absent?.(probeRecord({commands: {}, files: {}})), []);
	const other = containersSchema.parse({users: {other: {uid: 2002}}});
	const both = whys(await containers.plan(other, machine({}, listed)));
	t.true(
		both.indexOf('remove the units of web; volumes and images stay in its home') <
			both.indexOf('have the managers of the container users started at boot'),
	);
});

test('what one user has broken keeps no other user’s containers from running', async t => {
	const two = containersSchema.parse({users: {web, other: {uid: 2002}}});
	const broken = {[`${storage}/overlay-images/images.json`]: ''};
	const error = await t.throwsAsync(containers.plan(two, machine({}, broken)), {instanceOf: PartsError});
	t.deepEqual([...(error?.parts.keys() ?? [])], ['web']);
	t.true(error?.steps.some(({why}) => why === 'make the user other, who logs in nowhere'));
	t.false(error?.steps.some(({why}) => / web$/.test(why)));
});
