import {bake} from './commands/bake.ts';
import {boot} from './commands/boot.ts';
import {buildIsoCommand} from './commands/build-iso.ts';
import {buildPxeCommand} from './commands/build-pxe.ts';
import {check} from './commands/check.ts';
import {clean} from './commands/clean.ts';
import {cluster} from './commands/cluster.ts';
import type {CliCommand, Surroundings} from './commands/command.ts';
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

/** Runs a command, such as `check --profile node`, and gives its exit code. Says errors itself, and throws none. */
export async function bringup([name = '', ...rest]: readonly string[], surroundings: Surroundings): Promise<number> {
	const {signal, out, err} = surroundings;
	const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
	if (!command) {
		const asked = name === '' || name === '--help' || name === '-h' || name === 'help';
		(asked ? out : err).write(asked ? usage : `error: there is no command ${name}\n\n${usage}`);
		return asked ? 0 : 2;
	}
	if (rest.includes('--help') || rest.includes('-h')) {
		out.write(command.help);
		return 0;
	}
	try {
		return (await command.run(rest, surroundings)) ?? 0;
	} catch (error) {
		const [text, code] = explain(error);
		err.write(signal.aborted ? 'interrupted; nothing half-written is left\n' : `${text}\n`);
		return signal.aborted ? 130 : code;
	}
}
