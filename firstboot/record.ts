import type {Probe} from './phase.ts';

/** A machine as a plan sees it: what it answered to each command, and the files that were read. */
export interface RecordedMachine {
	/** By command line; a JSON answer may stand as an object. */
	commands: Record<string, unknown>;
	files: Record<string, string>;
}

/** A machine that answers from a record. It throws where the real one would, or was never asked. */
export function probeRecord({commands, files}: RecordedMachine): Probe {
	return {
		async output(command) {
			const answer = commands[command.join(' ')];
			if (answer === undefined) throw new Error(`the recorded machine has no answer to: ${command.join(' ')}`);
			return typeof answer === 'string' ? answer : JSON.stringify(answer);
		},
		read: async path => files[path],
	};
}

/** A record may be shown to others: of a private key the last line stays, of a password that there is one. */
function redact(text: string): string {
	return text.replace(/-----BEGIN [\s\S]*(?=-----END)/, '').replace(/^([^:\n]+:)[!*]*\$[^:\n]*(?=:)/gm, '$1(hash)');
}

/** Files that hold what secrets say. */
const secretPaths =
	/^\/etc\/bringup\/secrets\/|^\/etc\/rancher\/|\/k3s\/server\/(manifests|tls)\/|\/secretsdata\.json$/;

/** A probe that also remembers, in the form that probeRecord takes. Secrets are not remembered. */
export function recordProbe(probe: Probe, record: RecordedMachine): Probe {
	return {
		async output(command) {
			const output = await probe.output(command);
			record.commands[command.join(' ')] = redact(output);
			return output;
		},
		async read(path) {
			const content = await probe.read(path);
			if (content !== undefined && !secretPaths.test(path)) record.files[path] = redact(content);
			return content;
		},
	};
}
