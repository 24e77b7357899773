import type {FalseFact, Sections} from './fact.ts';
import {findMarked} from './marked.ts';

/** What a clone has from its seed or not at all. */
const notInImages = ['network', 'firewall', 'storage', 'virtualization'] as const;

function checkMachine({identity, kubernetes}: Sections): FalseFact[] {
	const faults: FalseFact[] = [];
	if (identity && identity.hostname === undefined)
		faults.push({path: ['identity', 'hostname'], message: 'is missing; a name, or a pattern such as node-{mac}'});
	if (identity?.users.length === 0)
		faults.push({path: ['identity', 'users'], message: 'is missing or empty; nobody could log in'});
	// A first server without one makes authorities and tokens itself; who joins needs those that are there.
	const joins = kubernetes?.role === 'agent' || kubernetes?.server !== undefined;
	if (joins && kubernetes.cluster === undefined)
		faults.push({path: ['kubernetes', 'cluster'], message: 'is missing; name the cluster that it joins, such as home'});
	return faults;
}

/** Of a golden image: it is shared, so it holds no name and no secret; of any other machine: what only an image may lack. */
export function checkImage(sections: Sections): FalseFact[] {
	const {image, identity, install, hardening, kubernetes} = sections;
	if (!image) return checkMachine(sections);
	const faults: FalseFact[] = [];
	const add = (path: FalseFact['path'], message: string) => faults.push({path, message});
	for (const name of notInImages)
		if (sections[name] !== undefined)
			add(
				[name],
				`a golden image has no section ${name}: its clones have their network and disks from whoever makes them; remove it`,
			);
	if (identity?.hostname !== undefined)
		add(['identity', 'hostname'], "a golden image has no name: each clone's is in its seed; remove it");
	identity?.users.forEach(({sshKeys}, index) => {
		if (sshKeys === 'auto')
			add(
				['identity', 'users', index, 'sshKeys'],
				'opens every clone, so a golden image says which key, and not auto; name the public key (a line of a .pub file)',
			);
	});
	if (install?.method === 'debian-installer')
		add(['install', 'method'], 'a golden image is made by method: image; remove the line');
	if (hardening?.recovery)
		add(['hardening', 'recovery'], 'all clones would share the code for the console; set recovery: false');
	if (kubernetes?.cluster !== undefined)
		add(['kubernetes', 'cluster'], "the clones' seeds say which cluster they join (docs/images.md); remove it");
	for (const {path, value} of findMarked('asset', sections))
		if ('url' in value.asset && value.asset.delivery !== 'embedded')
			add(path, 'a golden image is whole: what it needs is in it; set delivery: embedded');
	for (const {path} of findMarked('secret', sections))
		add(path, 'a golden image is shared, and holds no secret; let the seed of a clone bring it');
	return faults;
}
