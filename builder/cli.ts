#!/usr/bin/env node
import {basename} from 'node:path';
import {bake} from './commands/bake.ts';
import {boot} from './commands/boot.ts';
import {buildIsoCommand} from './commands/build-iso.ts';
import {buildPxeCommand} from './commands/build-pxe.ts';
import {check} from './commands/check.ts';
import {clean} from './commands/clean.ts';
import {cluster} from './commands/cluster.ts';
import type {CliCommand} from './commands/command.ts';
import {lock} from './commands/lock.ts';
import {lockInstaller} from './commands/lock-installer.ts';
import {plan} from './commands/plan.ts';
import {rebuild} from './commands/rebuild.ts';
import {render} from './commands/render.ts';
import {schema} from './commands/schema.ts';
import {seed} from './commands/seed.ts';
import {serveCommand} from './commands/serve.ts';
import {verify} from './commands/verify-artefact.ts';
import {explain} from './failure.ts';

const commands: Readonly<Record<string, CliCommand>> = {
	check,
	render,
	plan,
	'build-iso': buildIsoCommand,
	lock,
	'lock-installer': lockInstaller,
	'build-pxe': buildPxeCommand,
	serve: serveCommand,
	bake,
	rebuild,
	'verify-artefact': verify,
	seed,
	cluster,
	boot,
	clean,
	schema,
};

const usage = `usage: bringup <command> [options]

${Object.entries(commands)
	.map(([name, {summary}]) => `  ${name.padEnd(16)} ${summary}`)
	.join('\n')}

bringup <command> --help says more. build-iso is a command of its own too.
`;

async function main(argv: readonly string[], signal: AbortSignal): Promise<number> {
	const called = basename(process.argv[1] ?? '');
	const [name = '', ...rest] = called === 'build-iso' ? ['build-iso', ...argv] : argv;
	const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
	if (!command) {
		const asked = name === '' || name === '--help' || name === '-h' || name === 'help';
		(asked ? process.stdout : process.stderr).write(asked ? usage : `error: there is no command ${name}\n\n${usage}`);
		return asked ? 0 : 2;
	}
	if (rest.includes('--help') || rest.includes('-h')) {
		process.stdout.write(command.help);
		return 0;
	}
	return (await command.run(rest, {signal, environment: process.env, out: process.stdout, err: process.stderr})) ?? 0;
}

const abort = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
	process.on(signal, () => {
		if (abort.signal.aborted) process.exit(130); // asked twice: at once
		abort.abort();
	});
}
// An ordinary user's shell does not look where Debian keeps sfdisk, debugfs, dnsmasq and nft.
process.env['PATH'] = `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`;
process.umask(0o022); // a user namespace's root must read what is put together for it
process.stdout.on('error', () => process.exit(0)); // the reader of a pipe has gone

try {
	process.exitCode = await main(process.argv.slice(2), abort.signal);
} catch (error) {
	const [text, code] = explain(error);
	process.stderr.write(abort.signal.aborted ? 'interrupted; nothing half-written is left\n' : `${text}\n`);
	process.exitCode = abort.signal.aborted ? 130 : code;
}
