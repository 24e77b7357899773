import type {Listed, Probe, Step} from './phase.ts';

/** A machine as a plan sees it: what it answered to each command, and the files that were read. */
export interface RecordedMachine {
	/** By command line; a JSON answer may stand as an object. */
	commands: Record<string, unknown>;
	/** By path; that of a folder ends with a slash, and of each thing in it there is a line: name, type, size, time, inode, target. */
	files: Record<string, string>;
}

const fields = ['type', 'size', 'time', 'inode', 'target'] as const;

function parseFolder(text: string): Map<string, Listed> {
	const lines = text.split('\n').filter(Boolean);
	return new Map(
		lines.map(line => {
			const [name = '', type = 'f', size = '0', time = '0', inode = '0', target = ''] = line.split('\t');
			return [name, {type, size, time, inode, target}];
		}),
	);
}

function formatFolder(entries: ReadonlyMap<string, Listed>): string {
	return [...entries].map(([name, listed]) => `${[name, ...fields.map(field => listed[field])].join('\t')}\n`).join('');
}

/** Of a device a record says only whether it is zero; one that says nothing is, where a record of before shows that it was looked at. */
function recallDevice(path: string, commands: RecordedMachine['commands']): string | undefined {
	if (!path.startsWith('/dev/')) return undefined;
	const asked = /by-diskseq\/\d+$/.test(path) ? `dd if=${path} of=/dev/null ` : `wipefs --no-act --json ${path}`;
	if (Object.keys(commands).some(command => command.startsWith(asked))) return '';
	throw new Error(`the recorded machine has no answer to: the first and last bytes of ${path}`);
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
		async readBytes(path, count) {
			const text = files[path] ?? recallDevice(path, commands);
			if (text === undefined) return undefined;
			const bytes = Buffer.from(text, 'latin1');
			return count < 0 ? bytes.subarray(count) : bytes.subarray(0, count);
		},
		async list(path) {
			const text = files[`${path}/`];
			return text === undefined ? undefined : parseFolder(text);
		},
	};
}

/** A record may be shown to others: of a private key the last line stays, of a password that there is one. */
function redact(text: string): string {
	return text.replace(/-----BEGIN [\s\S]*(?=-----END)/, '').replace(/^([^:\n]+:)[!*]*\$[^:\n]*(?=:)/gm, '$1(hash)');
}

/** Files that only root, or their user, may read: what is in them is in no record. */
const secretPaths =
	/^\/etc\/bringup\/(secrets\/|(machine|clone)\.json$)|^\/etc\/rancher\/|\/k3s\/server\/(manifests|tls)\/|\/secretsdata\.json$/;

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
		async readBytes(path, count) {
			const bytes = await probe.readBytes(path, count);
			if (bytes === undefined) return undefined;
			if (path.startsWith('/dev/')) record.files[path] ||= bytes.equals(Buffer.alloc(bytes.length)) ? '' : 'data';
			else if (!secretPaths.test(path)) record.files[path] = redact(bytes.toString('latin1'));
			return bytes;
		},
		async list(path) {
			const entries = await probe.list(path);
			if (entries !== undefined) record.files[`${path}/`] = formatFolder(entries);
			return entries;
		},
	};
}

/** What a step gives a program, and files that others may not read, stay out of what is printed. */
export function hideSecrets({phase, steps}: {phase: string; steps: Step[]}): {phase: string; steps: Step[]} {
	const hidden = '(not shown)';
	return {
		phase,
		steps: steps.map(step => {
			if (step.do === 'run' && step.stdin !== undefined) return {...step, stdin: hidden};
			return step.do === 'write' && (step.mode & 0o077) === 0 ? {...step, content: hidden} : step;
		}),
	};
}
