import {CommandError} from './apply.ts';
import {AwayError} from './fetch.ts';
import {type Command, PartsError, type Step} from './phase.ts';

/** Where the status of the last run is; gone with the next boot. */
export const statusPath = '/run/bringup/status.json';

/** What names a boot, as the kernel gives it. */
export const bootIdPath = '/proc/sys/kernel/random/boot_id';

/** Where one phase stands. */
export interface PhaseStatus {
	name: string;
	state: 'pending' | 'running' | 'done' | 'unchanged' | 'skipped' | 'failed' | 'held';
	/** The phases that failed and for whose sake it was held back, or did only what does not depend on them. */
	heldBy?: readonly string[];
	/** What was done, in order; the last one is what failed, where one did. */
	steps: string[];
	seconds: number;
}

/** What failed in a phase. */
export interface Failure {
	phase: string;
	step?: string;
	message: string;
	/** Whether it may pass by itself: it is tried again later. */
	passing?: boolean;
	command?: Command;
	lines?: readonly string[];
}

/** The status as JSON: written for people and programs, never read back as an input. */
export interface StatusRecord {
	schema: 1;
	sequence: string;
	profile: string;
	buildId: string;
	/** `failed` is final: the sequence has ended, and something failed in it. */
	state: 'running' | 'done' | 'failed';
	startedAt: string;
	finishedAt?: string;
	/** The process that runs it, and the boot in which it does: a run of neither has ended, whatever its state says. */
	process: {pid: number; boot: string};
	phases: PhaseStatus[];
	/** Addresses by link, as `ip` shows them, when the sequence ended. */
	addresses: Record<string, string[]>;
	failures: Failure[];
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
		begin: Pick<StatusRecord, 'sequence' | 'profile' | 'buildId' | 'process'> & {phases: readonly string[]},
		say: (line: string) => void,
		save: (record: StatusRecord) => Promise<void>,
	) {
		const phases = begin.phases.map((name): PhaseStatus => ({name, state: 'pending', steps: [], seconds: 0}));
		const startedAt = new Date().toISOString();
		this.record = {schema: 1, ...begin, state: 'running', startedAt, phases, addresses: {}, failures: []};
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

	/** A phase begins; by phases that failed before it, it has less to do. */
	phaseStarted(name: string, heldBy: readonly string[] = []): void {
		const phase = this.#find(name);
		phase.state = 'running';
		this.#since = performance.now();
		if (heldBy.length === 0) return;
		phase.heldBy = heldBy;
		this.say(`${this.#prefix(name)}: without what lies on what failed in ${heldBy.join(', ')}`);
	}

	phaseHeld(name: string, heldBy: readonly string[]): void {
		const phase = this.#find(name);
		phase.state = 'held';
		phase.heldBy = heldBy;
		this.say(`${this.#prefix(name)}: held back by ${heldBy.join(', ')}`);
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
		if (this.#find(name).steps.length > 0)
			this.phaseDone(name); // it took away what an earlier profile had made
		else this.#end(name, 'skipped', 'skipped: the profile has no such section');
	}

	async #fail(name: string, error: unknown, step: string | undefined): Promise<void> {
		const failure: Failure = {
			phase: name,
			message: error instanceof Error ? error.message : String(error),
			...(step === undefined ? {} : {step}),
			...(error instanceof AwayError ? {passing: true} : {}),
			...(error instanceof CommandError ? {command: error.command, lines: error.lines} : {}),
		};
		this.record.failures.push(failure);
		for (const line of formatFailure(this.record, failure)) this.say(line);
		await this.#save(this.record);
	}

	/** The last step failed, and the phase goes on with what does not depend on it. */
	async stepFailed(name: string, error: unknown): Promise<void> {
		await this.#fail(name, error, this.#find(name).steps.at(-1));
	}

	async phaseFailed(name: string, error: unknown): Promise<void> {
		const step = this.#find(name).steps.at(-1);
		this.#end(name, 'failed', 'FAILED');
		// Each thing that failed alone has said so, with its step; here it is said what could not be planned.
		await this.#fail(name, error, error instanceof PartsError ? undefined : step);
	}

	/** The run cannot begin: what the machine is to be is not known. */
	async profileFailed(error: unknown): Promise<void> {
		const failure: Failure = {phase: 'profile', message: error instanceof Error ? error.message : String(error)};
		this.record.failures.push(failure);
		for (const line of formatFailure(this.record, failure)) this.say(line);
		await this.#save(this.record);
	}

	/** Closes the record. */
	async finish(state: 'done' | 'failed', addresses: Record<string, string[]>): Promise<void> {
		Object.assign(this.record, {state, addresses, finishedAt: new Date().toISOString()});
		await this.#save(this.record);
	}
}

/** One failure for the screen: which step, the exact command, its last lines. */
function formatFailure({sequence}: StatusRecord, {phase, step, message, command, lines}: Failure): string[] {
	return [
		`bringup: ${sequence} FAILED in phase ${phase}${step ? `, at: ${step}` : ''}`,
		...message.split('\n').map(line => `  ${line}`),
		...(command ? [`  command: ${command.join(' ')}`] : []),
		...(lines ?? []).map(line => `    ${line}`),
	];
}

/** What a person does about failures; nothing where there are none. */
export function formatRemedy({failures, sequence}: StatusRecord): string[] {
	if (failures.length === 0) return [];
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
	const again = 'what may pass by itself is tried again in 15 minutes (bringup-again.timer), and at the next boot';
	return [
		...(remedies[sequence] ?? onMedium('Alt+F2')),
		...(sequence === 'provision' && failures.some(({passing}) => passing) ? [again] : []),
	].map(line => `  ${line}`);
}

/** How each phase that has something to tell ended. */
function formatPhase({name, state, steps, heldBy}: PhaseStatus): string[] {
	const without = heldBy ? ` without what lies on what failed in ${heldBy.join(', ')}` : '';
	if (state === 'held') return [`  ${name}: held back by ${heldBy?.join(', ')}`];
	if (state === 'pending') return []; // the summary says what is left
	if (state === 'failed') return [`  ${name}: failed`];
	if (state === 'done') return [`  ${name}: done${without}, ${steps.length} steps`];
	return state === 'unchanged' ? [`  ${name}: nothing to do${without}`] : [`  ${name}: ${state}`];
}

/** The whole run for a person: in one line, then every phase where not all went well, and every failure. */
export function formatStatus(record: StatusRecord): string[] {
	const {failures, phases, state} = record;
	return [
		formatSummary(record),
		...(state === 'done' ? [] : phases.flatMap(formatPhase)),
		...failures.flatMap(failure => formatFailure(record, failure)),
		...formatRemedy(record),
	];
}

/** The whole run in one line. */
export function formatSummary({phases, sequence, state, addresses}: StatusRecord): string {
	const named = (...states: PhaseStatus['state'][]) => phases.filter(({state}) => states.includes(state));
	const names = (...states: PhaseStatus['state'][]) =>
		named(...states)
			.map(({name}) => name)
			.join(', ');
	const changed = named('done').map(({name, steps}) => `${name} (${steps.length})`);
	const where = Object.entries(addresses).map(
		([link, list]) => `${link} ${list.join(' ') || 'without an address yet'}`,
	);
	const left = [
		...(named('failed').length > 0 ? [`failed in ${names('failed')}`] : []),
		...(named('held').length > 0 ? [`held back ${names('held')}`] : []),
		...(named('pending', 'running').length > 0 ? [`left ${names('pending', 'running')}`] : []),
	];
	return [
		`bringup: ${sequence} ${state}`,
		changed.length > 0 ? `did ${changed.join(', ')}` : 'nothing to do',
		...(left.length > 0 ? left : ['nothing left']),
		...where,
	].join('; ');
}
