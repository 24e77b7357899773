import type {Probe, Step} from './phase.ts';
import {planFile} from './phase.ts';

const kinds = ['rsa', 'ecdsa', 'ed25519'];

/** The key and its type; what follows is a comment. */
const keyOf = (text: string) => text.trim().split(/\s+/).slice(0, 2).join(' ');

/** What ssh-keygen(1) makes of a private key: its public half, or why it takes no such file. */
async function readKey(probe: Probe, path: string): Promise<{public: string} | {fault: 'mode' | 'unreadable'}> {
	try {
		return {public: await probe.output(['ssh-keygen', '-y', '-f', path])};
	} catch (error) {
		const {message, lines = []} = error as Error & {lines?: readonly string[]};
		if (!/exited with 255$/.test(message)) throw error; // it was not asked: that says nothing of the key
		return {fault: lines.some(line => line.includes('bad permissions')) ? 'mode' : 'unreadable'};
	}
}

/** Clients know the machine by its keys: one that ssh-keygen can read stays, whoever made it, and one that it cannot is kept beside. */
async function planKey(kind: string, probe: Probe): Promise<{steps: Step[]; missing: boolean}> {
	const path = `/etc/ssh/ssh_host_${kind}_key`;
	const [key, pub] = await Promise.all([probe.read(path), probe.read(`${path}.pub`)]);
	if (key === undefined) return {steps: [], missing: true};
	const isWhole = key.trimEnd().endsWith('-----END OPENSSH PRIVATE KEY-----');
	if (isWhole && pub?.startsWith(kind === 'ecdsa' ? 'ecdsa-' : 'ssh-')) return {steps: [], missing: false};
	if (/^[\0\s]*$/.test(key)) {
		const command = ['rm', '--force', path, `${path}.pub`] as const;
		return {steps: [{do: 'run', command, why: `remove the damaged ${kind} host key`}], missing: true};
	}
	const found = await readKey(probe, path);
	if ('public' in found) {
		const isRight = pub !== undefined && keyOf(pub) === keyOf(found.public);
		const why = `write the public half of the ${kind} host key`;
		return {steps: isRight ? [] : await planFile(probe, `${path}.pub`, found.public, why), missing: false};
	}
	if (found.fault === 'mode') {
		const command = ['chmod', '0600', path] as const;
		return {steps: [{do: 'run', command, why: `let nobody else read the ${kind} host key`}], missing: false};
	}
	const aside = `${path}.unreadable`;
	const command = ['mv', '--backup=numbered', '--no-target-directory', path, aside] as const;
	const why = `move the ${kind} host key, which ssh-keygen cannot read, to ${aside}`;
	return {steps: [{do: 'run', command, why}], missing: true};
}

/** The steps to host keys of every kind. A power cut can leave some of length zero, which nothing regenerates (canonical/cloud-init#3951). */
export async function planHostKeys(probe: Probe): Promise<Step[]> {
	const keys = await Promise.all(kinds.map(kind => planKey(kind, probe)));
	const steps = keys.flatMap(({steps}) => steps);
	if (keys.some(({missing}) => missing))
		steps.push({do: 'run', command: ['ssh-keygen', '-A'], why: 'make the SSH host keys'});
	return steps;
}
