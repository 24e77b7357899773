import type {networkSchema} from '../links.ts';
import {type Phase, planFile} from '../phase.ts';

/** What stands above the console's login prompt; agetty keeps the addresses current (agetty(8), issue escapes). */
export const report: Phase<typeof networkSchema> = {
	packages: ['util-linux', 'libpam-modules'],
	async plan({management}, probe) {
		const issue = `${management}: \\4{${management}} \\6{${management}}\nprovisioning: bringup status, journalctl -u bringup\n\n`;
		return planFile(probe, '/etc/issue.d/10-bringup.issue', issue, 'show the addresses above the login prompt');
	},
};
