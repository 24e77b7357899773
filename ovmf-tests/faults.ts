/**
 * `npm run test:faults -- --runs N --seed S`: the power is cut at random moments, on disks that lose what was not flushed,
 * and the machine must come to the same as one that nobody cut. A row a run goes to out/faults/results.jsonl.
 */
import {appendFile, cp, mkdir, readFile, rm, writeFile} from 'node:fs/promises';
import {join, resolve} from 'node:path';
import {parseArgs} from 'node:util';
import {findPort, type Machine, startMachine} from '../builder/boot/machine.ts';
import {run} from '../builder/run.ts';
import {type Cut, type Durations, type Plan, planRun, stages} from './fault-plan.ts';
import {formatTable, type Row} from './fault-table.ts';
import {type LossyDisk, openLossyDisk, proveLossy} from './lossy-disk.ts';
import {compareDigests, type Digest, readDigest} from './machine-digest.ts';
import {type Artefact, buildIso, makeAssets} from './vm.ts';

const folder = resolve('out/faults');
const sizes = {'NVME-SYSTEM': '20G', LEFT: '3G', RIGHT: '3G', FAST: '6G'};
const serials = Object.keys(sizes);
const results = join(folder, 'results.jsonl');
const firmware = 'uefi-secure-boot';
const variables = `vars-${firmware}.fd`;

/** A machine on disks that lose their cache. */
interface Running {
	machine: Machine;
	cut(): Promise<void>;
}

async function powerOn(
	own: string,
	iso: string,
	{medium, once, fresh}: {medium: Plan['medium']; once?: boolean; fresh?: boolean},
): Promise<Running> {
	if (fresh) await rm(join(own, variables), {force: true});
	const disks: LossyDisk[] = [];
	for (const serial of serials)
		disks.push(await openLossyDisk({path: join(own, `${serial}.raw`), bus: 'nvme', serial}));
	const machine = await startMachine({
		folder: own,
		firmware,
		memory: 3072,
		cpus: 1, // two emulated ones race where the kernel patches itself
		mac: '52:54:00:62:75:01',
		wires: [{mac: '52:54:00:62:75:02', socket: join(own, 'wire.sock'), listen: true}],
		isolated: true,
		snapshot: false,
		disks: disks.map(({disk}) => disk),
		sshPort: await findPort(),
		...(medium === 'none' ? {} : {cdrom: iso, cdromFirst: medium === 'first'}),
		...(once ? {once} : {}),
	});
	return {
		machine,
		async cut() {
			await Promise.all([machine.cut(), ...disks.map(disk => disk.cut())]);
		},
	};
}

/** The disks and firmware variables of a stage's beginning. */
const baseOf = (name: 'installed' | 'provisioned') => join(folder, name);

async function copySet(from: string, to: string, names: readonly string[] = serials): Promise<void> {
	await mkdir(to, {recursive: true});
	for (const name of names)
		await run(['cp', '--sparse=always', '--reflink=auto', join(from, `${name}.raw`), join(to, `${name}.raw`)]);
}

async function makeBlank(to: string, names: readonly string[] = serials): Promise<void> {
	await mkdir(to, {recursive: true});
	for (const name of names) {
		await rm(join(to, `${name}.raw`), {force: true});
		await run(['truncate', '--size', sizes[name as keyof typeof sizes], join(to, `${name}.raw`)]);
	}
}

const done = /bringup: provision done.*/;
/** What a machine must not say; a phase that fails ends a run as failed. */
const bad = /FAILED in phase|bringup: \w+ failed|Kernel panic|emergency mode|grub>|grub rescue>|No bootable/;
/** A fault of two or one emulated processors, not of the machine. */
const emulator = /Oops: int3|rcu: INFO: rcu_\w+ detected stalls/;

interface Reference {
	buildId: string;
	durations: Durations;
	digest: [string, readonly string[]][];
}

async function measure(work: () => Promise<unknown>): Promise<number> {
	const since = performance.now();
	await work();
	return (performance.now() - since) / 1000;
}

/** Installs and provisions a machine that nobody cuts, and keeps its disks at each stage's beginning. */
async function makeReference({iso, login}: Artefact, buildId: string): Promise<Reference> {
	const own = join(folder, 'reference');
	await rm(own, {recursive: true, force: true});
	await makeBlank(own);
	const installer = await powerOn(own, iso, {medium: 'last', once: true, fresh: true});
	await installer.machine.waitFor(/bringup: install of profile/, 900, bad);
	const install = await measure(() => installer.machine.waitFor(/bringup: install done/, 1800, bad));
	await installer.machine.ended;
	await installer.cut();
	await copySet(own, baseOf('installed'));
	await cp(join(own, variables), join(baseOf('installed'), variables));

	const first = await powerOn(own, iso, {medium: 'none'});
	const firstBoot = await measure(() => first.machine.waitFor(done, 3600, bad));
	await first.machine.run(
		login,
		['sudo', 'bash'],
		'seq 1 200000 >/srv/data/precious; seq 7 90000 >/srv/scratch/precious; sync',
	);
	await first.machine.run(login, ['sudo', 'virsh', 'destroy', 'guest-1']);
	await first.machine.powerOff(300);
	await first.cut();
	await copySet(own, baseOf('provisioned'));
	await cp(join(own, variables), join(baseOf('provisioned'), variables));

	const second = await powerOn(own, iso, {medium: 'none'});
	const secondBoot = await measure(() => second.machine.waitFor(done, 1800, bad));
	const digest = await readDigest(second.machine, login);
	await second.cut();
	await rm(own, {recursive: true});
	return {
		buildId,
		durations: {install, 'first boot': firstBoot, 'second boot': secondBoot},
		digest: [...digest],
	};
}

async function findReference(artefact: Artefact): Promise<Reference> {
	const manifest = await readFile(artefact.iso.replace(/\.iso$/, '.manifest.json'), 'utf8');
	const {buildId} = JSON.parse(manifest) as {buildId: string};
	const path = join(folder, 'reference.json');
	const kept = await readFile(path, 'utf8').catch(() => undefined);
	if (kept !== undefined && (JSON.parse(kept) as Reference).buildId === buildId) return JSON.parse(kept) as Reference;
	console.log('the run that nobody cuts: installing, first boot, second boot');
	const reference = await makeReference(artefact, buildId);
	await writeFile(path, JSON.stringify(reference));
	return reference;
}

/** Lays out the disks that a run begins with. */
async function prepare(own: string, {stage, used}: Plan): Promise<void> {
	await rm(own, {recursive: true, force: true});
	const [system = '', ...data] = serials;
	const begin = stage === 'second boot' ? baseOf('provisioned') : baseOf('installed');
	await (stage === 'install' ? makeBlank(own, [system]) : copySet(begin, own, [system]));
	await (used ? copySet(baseOf('provisioned'), own, data) : makeBlank(own, data));
	if (stage !== 'install') await cp(join(begin, variables), join(own, variables));
}

async function waitForCut({machine}: Running, {after, seconds}: Cut): Promise<void> {
	if (after === 'installer')
		await machine.waitFor(/bringup: install of profile|bringup: provision of profile/, 900, bad);
	await new Promise(resolve => setTimeout(resolve, seconds * 1000));
}

function findLast(serial: string): string {
	const lines = serial.split('\n').filter(line => /^(bringup: |phase )/.test(line));
	return lines.at(-1)?.slice(0, 100) ?? 'before our program';
}

async function tryRun(plan: Plan, {iso, login}: Artefact, own: string, cutAt: string[]): Promise<Digest> {
	for (const cut of plan.cuts) {
		const running = await powerOn(own, iso, {medium: plan.medium});
		await waitForCut(running, cut).finally(async () => {
			cutAt.push(findLast(await running.machine.readSerial()));
			await running.cut();
		});
	}
	const running = await powerOn(own, iso, {medium: plan.medium});
	try {
		await running.machine.waitFor(done, 3600, bad);
		return await readDigest(running.machine, login);
	} finally {
		await running.machine.keepEvidence(join(folder, 'evidence', String(plan.number)));
		await running.cut();
	}
}

async function performRun(plan: Plan, seed: number, artefact: Artefact, reference: Reference): Promise<Row> {
	const own = join(folder, `run-${plan.number}`);
	const since = performance.now();
	const cutAt: string[] = [];
	const end = (result: Row['result'], detail?: string): Row => ({
		...plan,
		seed,
		result,
		seconds: Math.round((performance.now() - since) / 1000),
		cutAt,
		...(detail === undefined ? {} : {detail}),
	});
	try {
		await prepare(own, plan);
		const found = await tryRun(plan, artefact, own, cutAt);
		const differences = compareDigests(new Map(reference.digest), found, {identities: plan.stage === 'second boot'});
		const lost = plan.used ? differences : differences.filter(line => !/precious/.test(line));
		return lost.length === 0 ? end('converged') : end('differs', lost.join('\n'));
	} catch (error) {
		const text = error instanceof Error ? error.message : String(error);
		if (emulator.test(text)) return end('emulator', text.slice(-2000));
		return end(/nothing was changed/.test(text) ? 'refused' : 'failed', text.slice(-4000));
	} finally {
		await rm(own, {recursive: true, force: true});
	}
}

/** Asks for the words of the command line; node:util says what is wrong with them. */
function readWords() {
	const {values} = parseArgs({
		options: {
			runs: {type: 'string', default: '60'},
			seed: {type: 'string', default: '1'},
			first: {type: 'string', default: '1'},
			jobs: {type: 'string', default: '2'},
			stage: {type: 'string'},
			table: {type: 'boolean', default: false},
			profile: {type: 'string', default: 'ovmf-tests/profiles/faults.yaml'},
		},
	});
	const stage = stages.find(name => name === values.stage);
	if (values.stage !== undefined && stage === undefined) throw new Error(`--stage is one of: ${stages.join(', ')}`);
	return {...values, stage, runs: Number(values.runs), seed: Number(values.seed), first: Number(values.first)};
}

/** Every run of out/faults/results.jsonl, as the table of docs/reliability.md. */
async function printTable(): Promise<void> {
	const lines = (await readFile(results, 'utf8')).split('\n').filter(Boolean);
	process.stdout.write(formatTable(lines.map(line => JSON.parse(line) as Row)));
}

async function main(): Promise<void> {
	const words = readWords();
	if (words.table) return printTable();
	await mkdir(folder, {recursive: true});
	await proveLossy(folder);
	console.log('the disks lose what was not flushed: shown');
	await makeAssets();
	const artefact = await buildIso(words.profile);
	const reference = await findReference(artefact);
	console.log(`without a cut: ${JSON.stringify(reference.durations)}`);
	let next = words.first;
	const worker = async () => {
		for (let number = next++; number < words.first + words.runs; number = next++) {
			const plan = planRun(words.seed, number, reference.durations, words.stage);
			let row = await performRun(plan, words.seed, artefact, reference);
			if (row.result === 'emulator') row = await performRun(plan, words.seed, artefact, reference);
			await appendFile(results, `${JSON.stringify(row)}\n`);
			console.log(
				`run ${number}: ${row.stage}, ${row.medium}, cut at ${row.cutAt.join(' | ')}: ${row.result}, ${row.seconds} s`,
			);
			if (row.detail !== undefined) console.log(row.detail);
		}
	};
	await Promise.all(Array.from({length: Number(words.jobs)}, worker));
}

await main();
