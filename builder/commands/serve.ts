import {access, mkdir, rename} from 'node:fs/promises';
import {dirname, join, resolve} from 'node:path';
import {parseArgs} from 'node:util';
import {findDataFolder, findStateFolder} from '../paths.ts';
import {UsageError, UserError} from '../run.ts';
import type {CliCommand, Surroundings} from './command.ts';

/** The folder that is used when none is named. An earlier bringup kept it elsewhere: without what it holds, machines would be installed anew. */
export async function findState(environment: Surroundings['environment']): Promise<string> {
	const state = join(findStateFolder(environment), 'serve');
	const before = join(findDataFolder(environment), 'serve');
	const isThere = (path: string) =>
		access(path).then(
			() => true,
			() => false,
		);
	if ((await isThere(state)) || !(await isThere(before))) return state;
	await mkdir(dirname(state), {recursive: true});
	await rename(before, state).catch(error => {
		throw new UserError(
			`${before} holds what machines were told before; move it to ${state}, or say --state ${before}`,
			{
				cause: error,
			},
		);
	});
	return state;
}

export const serveCommand: CliCommand = {
	summary: 'boot machines over the network, and install those that machines.yaml names',
	help: `usage: bringup serve --interface LINK --machines FILE.yaml [--port N] [--lease-range FIRST,LAST] [--state DIR]
                     [--grant MINUTES] [--open DAYS] TREE...

  TREE...                   folders that build-pxe made, one of each profile
  --interface LINK          the link of this workstation that the machines are on
  --machines FILE.yaml      which machine is which: its MAC, serial number or UUID, profile and order
  --port N                  of the HTTP server (default: 8080)
  --lease-range FIRST,LAST  give addresses too; without it the DHCP server of the network does, and this adds what to boot
  --state DIR               where orders, reports, leases and serve.log are kept (default: $XDG_STATE_HOME/bringup/serve)
  --grant MINUTES           how long after its last request one boot of a machine may fetch what is secret, and no other may (default: 30)
  --open DAYS               how long an order waits for its machine to begin it (default: 7)

machines.yaml and the trees are read anew when they change. Needs root, for the ports of DHCP and TFTP. Machines boot by PXE (BIOS, UEFI with Secure Boot) or by UEFI HTTP Boot.
A machine that is installed boots its disk, until machines.yaml gives it another order. Ends with Ctrl-C.
`,
	async run(argv, {environment, err, signal}) {
		const {values, positionals} = parseArgs({
			args: [...argv],
			allowPositionals: true,
			options: {
				interface: {type: 'string'},
				machines: {type: 'string'},
				port: {type: 'string', default: '8080'},
				'lease-range': {type: 'string'},
				state: {type: 'string'},
				grant: {type: 'string', default: '30'},
				open: {type: 'string', default: '7'},
			},
		});
		const port = Number(values.port);
		if (!values.interface) throw new UsageError('on which link? Say --interface LINK');
		if (!values.machines) throw new UsageError('for which machines? Say --machines FILE.yaml');
		if (positionals.length === 0) throw new UsageError('which trees? Name the folders that build-pxe made');
		if (!Number.isInteger(port) || port < 1 || port > 65535) throw new UsageError('--port is a number up to 65535');
		const times = {grant: Number(values.grant) * 60_000, order: Number(values.open) * 24 * 3600_000};
		if (!(times.grant > 0)) throw new UsageError('--grant is a number of minutes');
		if (!(times.order > 0)) throw new UsageError('--open is a number of days');
		const [{serve}, {makeBoard}, {parseLeases}] = await Promise.all([
			import('../serve/serve.ts'),
			import('../serve/board.ts'),
			import('../serve/dnsmasq.ts'),
		]);
		const leases = values['lease-range'] === undefined ? undefined : parseLeases(values['lease-range']);
		const board = makeBoard(err);
		const served = serve({
			link: values.interface,
			machines: resolve(values.machines),
			port,
			leases,
			state: values.state === undefined ? await findState(environment) : resolve(values.state),
			trees: positionals,
			times,
			signal,
			searchPath: environment['PATH'] ?? '',
			board,
		});
		await served.finally(() => board.end());
		return 0;
	},
};
