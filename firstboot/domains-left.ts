import {active, defined, findOwnUuid, type Libvirt, run} from './libvirt.ts';
import {ofPart, type Probe, type Step} from './phase.ts';
import type {Virtualization} from './virtualization.ts';

/** What bringup has defined of a kind, and the profile has no more, by name. */
async function findLeft(kind: keyof typeof defined, wanted: object, {files}: Libvirt, probe: Probe): Promise<string[]> {
	const folder = `${defined[kind]}/`;
	const names = [...files].flatMap(path => {
		const name = path.startsWith(folder) ? path.slice(folder.length, -'.xml'.length) : '/';
		return name.includes('/') || Object.hasOwn(wanted, name) ? [] : [name];
	});
	const left = await Promise.all(
		names.map(async name => (findOwnUuid(await probe.read(`${folder}${name}.xml`)) ? [name] : [])),
	);
	return left.flat();
}

/** A domain that left is asked to shut down. It stays defined: what its guest knows it by is there, and so are its disks. */
function planDomain(name: string, {files}: Libvirt): Step[] {
	const steps: Step[] = [];
	const why = `${name}, which is not in the profile`;
	if (files.has(`${defined.domain}/autostart/${name}.xml`))
		steps.push(run(['virsh', 'autostart', '--disable', name], `start ${name} no more at boot`));
	const path = `${active.domain}/${name}.xml`;
	if (files.has(path))
		steps.push(run(['virsh', 'shutdown', name], `shut down ${why}; its definition and its disks stay`), {
			do: 'wait',
			until: ['test', '!', '-e', path],
			seconds: 180,
			why: `wait until ${name} is off (or end it: virsh destroy ${name})`,
		});
	return steps;
}

/** The steps that take away what left the profile: domains are shut down; networks and pools, which hold nothing, are forgotten. */
export async function planLeftDomains(
	{domains, networks, pools}: Virtualization,
	libvirt: Libvirt,
	probe: Probe,
): Promise<Step[]> {
	const steps: Step[] = [];
	for (const name of await findLeft('domain', domains, libvirt, probe))
		steps.push(...ofPart(`domains.${name}`, planDomain(name, libvirt)));
	for (const name of await findLeft('network', networks, libvirt, probe)) {
		if (libvirt.files.has(`${active.network}/${name}.xml`))
			steps.push(run(['virsh', 'net-destroy', name], `stop the network ${name}, which is not in the profile`));
		steps.push(run(['virsh', 'net-undefine', name], `forget the network ${name}`));
	}
	const gone = await findLeft('pool', pools, libvirt, probe);
	const names =
		gone.length > 0 && libvirt.isListening ? await probe.output(['virsh', '--quiet', 'pool-list', '--name']) : '';
	for (const name of gone) {
		if (names.split('\n').some(line => line.trim() === name))
			steps.push(
				run(['virsh', 'pool-destroy', name], `stop the pool ${name}, which is not in the profile; its disks stay`),
			);
		steps.push(run(['virsh', 'pool-undefine', name], `forget the pool ${name}; its disks stay`));
	}
	return steps;
}
