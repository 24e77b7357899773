import {checkClusters} from './cluster.ts';
import {checkContainers} from './containers.ts';
import type {FalseFact, Sections} from './fact.ts';
import {checkFirewall} from './firewall.ts';
import {checkHardening} from './hardening.ts';
import {checkIdentity} from './identity.ts';
import {checkImage} from './image.ts';
import {checkInstall} from './install.ts';
import {checkKubernetes} from './kubernetes.ts';
import {checkNetwork} from './network.ts';
import {checkSelectors} from './selectors.ts';
import {checkStorage} from './storage.ts';
import {checkVirtualization} from './virtualization.ts';
import {checkPools} from './zfs.ts';

/** Every fact that can be checked without asking anything outside the profile. */
export function checkFacts(sections: Sections): FalseFact[] {
	const {debian, machine, identity, network, firewall, storage, virtualization, kubernetes, image} = sections;
	const faults: FalseFact[] = [];
	if (debian && machine && machine.microcode.length > 0 && !debian.components.includes('non-free-firmware')) {
		const message =
			'microcode is in the component non-free-firmware; add it to debian.components, or set machine.microcode: []';
		faults.push({path: ['machine', 'microcode'], message});
	}
	if (debian?.lock !== undefined && sections.install?.method === 'debian-installer')
		faults.push({
			path: ['debian', 'lock'],
			message: 'is for method: image; debian-installer is pinned by debian.installerLock',
		});
	if (debian?.lock !== undefined && debian.mirror === undefined)
		faults.push({
			path: ['debian', 'lock'],
			message:
				"pins the medium to the byte, and the machine's apt sources are on it; say debian.mirror, which else is this workstation's",
		});
	faults.push(...checkSelectors(sections), ...checkInstall(sections));
	if (identity) faults.push(...checkIdentity(identity, sections));
	if (network) faults.push(...checkNetwork(network));
	if (firewall) faults.push(...checkFirewall(firewall, network));
	faults.push(...checkContainers(sections));
	if (storage) faults.push(...checkStorage(storage), ...checkPools(storage, {debian, machine}));
	if (kubernetes) faults.push(...checkKubernetes(kubernetes, {firewall, image, network}));
	faults.push(...checkHardening(sections));
	faults.push(...checkImage(sections));
	if (virtualization) faults.push(...checkVirtualization(virtualization, {debian, machine, network, storage}));
	faults.push(...checkClusters(sections));
	return faults;
}
