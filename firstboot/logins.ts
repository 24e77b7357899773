import type {Command, Probe} from './phase.ts';

/** Sessions of SSH that are open, by the address of the other side. */
const listSessions: Command = [
	...(['ss', '--no-header', '--tcp', '--numeric', 'state', 'established'] as const),
	...['sport', '=', ':22'],
];

/** Who is logged in over SSH, by address, a link-local one with its link; the machine itself does not count. */
export async function readPeers(probe: Probe): Promise<string[]> {
	const plain = (text = '') =>
		text
			.replace(/:\d+$/, '')
			.replace(/^\[(.*)\]$/, '$1')
			.replace(/^::ffff:(?=\d+\.)/, '');
	const rows = (await probe.output(listSessions)).split('\n').filter(Boolean);
	const sessions = rows.map(row => row.trim().split(/\s+/)).map(([, , own, peer]) => [plain(own), plain(peer)]);
	return [...new Set(sessions.flatMap(([own, peer]) => (peer && peer !== own ? [peer] : [])))];
}

/** Where the journal ends. A login after it is a new one, whatever the clock says. */
export async function readCursor(probe: Probe): Promise<string> {
	const text = await probe.output(['journalctl', '--quiet', '--lines=1', '--show-cursor', '--output=cat']);
	const cursor = /^-- cursor: (.*)$/m.exec(text)?.[1];
	if (cursor === undefined) throw new Error('the journal has no end: nobody could see a login');
	return cursor;
}

/** Who has logged in over SSH since then, by address. */
export async function readLogins(probe: Probe, cursor: string): Promise<string[]> {
	const text = await probe.output([
		...(['journalctl', '--quiet', '--output=cat', `--after-cursor=${cursor}`] as const),
		...['--identifier=sshd', '--identifier=sshd-session'],
	]);
	return [...text.matchAll(/^Accepted \S+ for \S+ from (\S+) port \d+ /gm)].map(([, from = '']) => from);
}
