import test from 'ava';
import {foldersOf} from '../folders.test.machine.ts';
import {deriveUuid} from '../machine-identity.ts';
import {PartsError, rememberAnswers} from '../phase.ts';
import {placeDomains} from '../virtualization.ts';
import {
	blank,
	type Changes,
	change,
	config,
	done,
	images,
	k3s,
	listDefined,
	machine,
	madeDisks,
	profile,
} from './virtualization.test.machine.ts';
import {virtualization} from './virtualization.ts';

test('installed anew, a machine gives its domains the UUIDs and MAC addresses that they had; a board without a UUID too', async t => {
	const defined = async (files: Record<string, string>, commands: Changes = {}) => {
		const steps = await virtualization.plan(config, machine(blank, commands, files));
		const xml = steps
			.flatMap(step => (step.do === 'write' && step.path.endsWith('k3s.xml') ? [step.content] : []))
			.join();
		return [/<uuid>(.*)<\/uuid>/.exec(xml)?.[1], /<mac address="(.*)"/.exec(xml)?.[1]];
	};
	const [first, second] = [{'/etc/machine-id': `${'1'.repeat(32)}\n`}, {'/etc/machine-id': `${'2'.repeat(32)}\n`}];
	t.deepEqual(await defined(first), await defined(second));
	const board = {'/sys/class/dmi/id/product_uuid': '03000200-0400-0500-0006-000700080009\n'};
	const links = (address: string) => ({
		'ip -json -details link show': [{ifname: 'mgmt', link_type: 'ether', address}],
	});
	const own = links('02:00:5e:10:00:01');
	t.deepEqual(await defined({...board, ...first}, own), await defined({...board, ...second}, own));
	t.notDeepEqual(await defined({...board, ...first}, own), await defined(board, links('02:00:5e:10:00:02')));
	t.notDeepEqual(await defined({...board, ...first}, own), await defined(first));
});

test('what an earlier release defined from another identity stays as it is, and a change of it keeps UUID and MAC address', async t => {
	const older = listDefined(config, 'f'.repeat(32));
	const probe = () =>
		machine(done, {}, {...older, ...foldersOf([...Object.keys(older), ...madeDisks(config, 'f'.repeat(32))])});
	const uuid = deriveUuid('f'.repeat(32), 'domain', 'k3s');
	t.false((await virtualization.plan(config, probe())).some(step => step.do === 'run' && step.command[0] === 'virsh'));
	const more = change({domains: {...profile.domains, k3s: {...k3s, cpus: 3}}});
	const [written] = (await virtualization.plan(more, probe())).filter(step => step.why.includes('shall know'));
	const content = written?.do === 'write' ? written.content : '';
	const mac = placeDomains(config, 'f'.repeat(32))[0]?.links[0]?.mac ?? 'none';
	t.true(content.includes(`<uuid>${uuid}</uuid>`) && content.includes(`<mac address="${mac}"/>`), content);
});

test('a disk of a defined domain that is gone is refused, before anything is planned', async t => {
	const left = Object.keys(listDefined(config)).concat(madeDisks(config).filter(path => !path.includes('old-0')));
	await t.throwsAsync(virtualization.plan(config, machine(done, {}, foldersOf(left))), {
		message: /domains\.old\.disks\[0\] .* is gone: there is no .*old-0\.qcow2/,
	});
	await t.throwsAsync(virtualization.plan(config, machine(done, {}, {'/etc/fstab': `nas:/vms ${images} nfs\n`})), {
		message: /nothing is mounted at \/var\/lib\/libvirt\/images/,
	});
});

test('the domain whose disk is gone does not keep another from starting', async t => {
	const there = [...Object.keys(listDefined(config)), ...madeDisks(config)];
	const left = there.filter(path => !path.includes('old-0') && path !== '/run/libvirt/qemu/k3s.xml');
	const error = await t.throwsAsync(
		virtualization.plan(config, rememberAnswers(machine(done, {}, foldersOf(left))).probe),
		{
			instanceOf: PartsError,
		},
	);
	t.deepEqual([...(error?.parts.keys() ?? [])], ['domains.old']);
	t.deepEqual(
		error?.steps.map(({why}) => why),
		['start k3s'],
	);
	const fstab = {'/etc/fstab': `nas:/vms ${images} nfs\n`};
	const unmounted = await t.throwsAsync(virtualization.plan(config, machine(blank, {}, fstab)), {
		instanceOf: PartsError,
	});
	t.deepEqual([...(unmounted?.parts.keys() ?? [])], ['pools.images', 'domains.k3s', 'domains.old']);
	t.false(unmounted?.steps.some(({why}) => /pool images|disk|k3s/.test(why)));
});
