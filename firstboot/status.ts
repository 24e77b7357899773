import {CommandError} from './apply.ts';
import type {Command, Step} from './phase.ts';

/** Where the status of the last run is; gone with the next boot. */
export const statusPath = '/run/bringup/status.json';

/** Where one phase stands. */
export interface PhaseStatus {
	name: string;
	state: 'pending' | 'running' | 'done' | 'unchanged' | 'skipped' | 'failed';
	/** What was done, in order; the last one is what failed, where one did. */
	steps: string[];
	seconds: number;
}

/** The status as JSON: written for people and programs, never read back as an input. */
export interface StatusRecord {
	schema: 1;
	sequence: string;
	profile: string;
	buildId: string;
	/** `failed` is final: the sequence has stopped. */
	state: 'running' | 'done' | 'failed';
	startedAt: string;
	finishedAt?: string;
	phases: PhaseStatus[];
	/** Addresses by link, as `ip` shows them, when the sequence ended. */
	addresses: Record<string, string[]>;
	failure?: {phase: string; step?: string; message: string; command?: Command; lines?: readonly string[]};
}

/** Collects what a sequence does, says it line by line, and saves it after each phase. */
export class Status {
	readonly record: StatusRecord;
	/** Every line said so far: the log. */
	readonly lines: string[] = [];
	readonly #say: (line: string) => void;
	readonly #save: (record: StatusRecord) => Promise<void>;
	#since = 0;

	constructor(
		begin: Pick<StatusRecord, 'sequence' | 'profile' | 'buildId'> & {phases: readonly string[]},
		say: (line: string) => void,
		save: (record: StatusRecord) => Promise<void>,
	) {
		const phases = begin.phases.map((name): PhaseStatus => ({name, state: 'pending', steps: [], seconds: 0}));
		this.record = {schema: 1, ...begin, state: 'running', startedAt: new Date().toISOString(), phases, addresses: {}};
		this.#say = say;
		this.#save = save;
	}

	say(line: string): void {
		this.lines.push(line);
		this.#say(line);
	}

	#find(name: string): PhaseStatus {
		const phase = this.record.phases.find(phase => phase.name === name);
		if (!phase) throw new Error(`no phase ${name} in this sequence`);
		return phase;
	}

	#prefix(name: string): string {
		const {phases} = this.record;
		return `phase ${name} (${phases.findIndex(phase => phase.name === name) + 1}/${phases.length})`;
	}

	phaseStarted(name: string): void {
		this.#find(name).state = 'running';
		this.#since = performance.now();
	}

	async stepStarted(name: string, {why}: Step): Promise<void> {
		this.#find(name).steps.push(why);
		this.say(`${this.#prefix(name)}: ${why}`);
		await this.#save(this.record);
	}

	#end(name: string, state: PhaseStatus['state'], text: string): void {
		const phase = this.#find(name);
		phase.seconds = Math.round(performance.now() - this.#since) / 1000;
		phase.state = state;
		this.say(`${this.#prefix(name)}: ${text}`);
	}

	phaseDone(name: string): void {
		const {steps} = this.#find(name);
		const seconds = ((performance.now() - this.#since) / 1000).toFixed(1);
		if (steps.length === 0) this.#end(name, 'unchanged', 'nothing to do');
		else this.#end(name, 'done', `done in ${seconds} s`);
	}

	phaseSkipped(name: string): void {
		this.#end(name, 'skipped', 'skipped: the profile has no such section');
	}

	async phaseFailed(name: string, error: unknown): Promise<void> {
		const phase = this.#find(name);
		const message = error instanceof Error ? error.message : String(error);
		const step = phase.steps.at(-1);
		this.record.failure = {
			phase: name,
			message,
			...(step === undefined ? {} : {step}),
			...(error instanceof CommandError ? {command: error.command, lines: error.lines} : {}),
		};
		this.#end(name, 'failed', 'FAILED');
		await this.#save(this.record);
	}

	/** Closes the record. */
	async finish(state: 'done' | 'failed', addresses: Record<string, string[]>): Promise<void> {
		Object.assign(this.record, {state, addresses, finishedAt: new Date().toISOString()});
		await this.#save(this.record);
	}
}

/** The failure for the screen: which step, the exact command, its last lines, what to do. */
export function formatFailure(record: StatusRecord): string[] {
	const {failure, sequence} = record;
	if (!failure) return [];
	const onMedium = (shell: string) => [
		`the machine stays as it is now and does not restart by itself. A root shell is on ${shell}.`,
		'mend the cause, then power the machine off and boot the medium again: it goes on from here',
	];
	const remedies: Record<string, string[]> = {
		install: onMedium('Ctrl+Alt+F9'),
		provision: [
			'what was done stays. Mend the cause, then: systemctl restart bringup   (or reboot: it goes on from here)',
		],
	};
	const remedy = remedies[sequence] ?? onMedium('Alt+F2');
	return [
		`bringup: ${sequence} FAILED in phase ${failure.phase}${failure.step ? `, at: ${failure.step}` : ''}`,
		...failure.message.split('\n').map(line => `  ${line}`),
		...(failure.command ? [`  command: ${failure.command.join(' ')}`] : []),
		...(failure.lines ?? []).map(line => `    ${line}`),
		...remedy.map(line => `  ${line}`),
	];
}

/** The whole run in one line. */
export function formatSummary(record: StatusRecord): string {
	const {failure, phases, sequence, state, addresses} = record;
	const changed = phases.filter(({state}) => state === 'done').map(({name, steps}) => `${name} (${steps.length})`);
	const left = phases.filter(({state}) => state === 'pending' || state === 'failed').map(({name}) => name);
	const where = Object.entries(addresses).map(
		([link, list]) => `${link} ${list.join(' ') || 'without an address yet'}`,
	);
	return [
		`bringup: ${sequence} ${state}`,
		changed.length > 0 ? `did ${changed.join(', ')}` : 'nothing to do',
		failure ? `failed in ${failure.phase}, left ${left.join(', ')}` : 'nothing left',
		...where,
	].join('; ');
}
