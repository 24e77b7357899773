import {join, resolve} from 'node:path';
import {parseArgs} from 'node:util';
import {findDataFolder} from '../paths.ts';
import {UsageError} from '../run.ts';
import type {CliCommand} from './command.ts';

export const serveCommand: CliCommand = {
	summary: 'boot machines over the network, and install those that machines.yaml names',
	help: `usage: bringup serve --interface LINK --machines FILE.yaml [--port N] [--lease-range FIRST,LAST] [--state DIR] TREE...

  TREE...                   folders that build-pxe made, one of each profile
  --interface LINK          the link of this workstation that the machines are on
  --machines FILE.yaml      which machine is which: its MAC, serial number or UUID, profile and order
  --port N                  of the HTTP server (default: 8080)
  --lease-range FIRST,LAST  give addresses too; without it the DHCP server of the network does, and this adds what to boot
  --state DIR               where orders and reports are kept (default: $XDG_DATA_HOME/bringup/serve)

Needs root, for the ports of DHCP and TFTP. Machines boot by PXE (BIOS, UEFI with Secure Boot) or by UEFI HTTP Boot.
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
			},
		});
		const port = Number(values.port);
		if (!values.interface) throw new UsageError('on which link? Say --interface LINK');
		if (!values.machines) throw new UsageError('for which machines? Say --machines FILE.yaml');
		if (positionals.length === 0) throw new UsageError('which trees? Name the folders that build-pxe made');
		if (!Number.isInteger(port) || port < 1 || port > 65535) throw new UsageError('--port is a number up to 65535');
		const leases = values['lease-range']?.split(',');
		if (leases && leases.length !== 2) throw new UsageError('--lease-range is two addresses: FIRST,LAST');
		const [{serve}, {makeBoard}] = await Promise.all([import('../serve/serve.ts'), import('../serve/board.ts')]);
		const board = makeBoard(err);
		const served = serve({
			link: values.interface,
			machines: resolve(values.machines),
			port,
			leases: leases as [string, string] | undefined,
			state: resolve(values.state ?? join(findDataFolder(environment), 'serve')),
			trees: positionals,
			signal,
			searchPath: environment['PATH'] ?? '',
			board,
		});
		await served.finally(() => board.end());
		return 0;
	},
};
