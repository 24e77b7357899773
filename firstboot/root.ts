/** They read nothing that only root may read, and change nothing. */
const forEverybody = ['status', 'serve-packages'];

/** Says to somebody who is not root how to run a command that is for root. */
export function checkRoot(command: string, flags: readonly string[], user: number | undefined): void {
	if (user === 0 || forEverybody.includes(command)) return;
	const line = ['sudo', 'bringup', command, ...flags].join(' ');
	throw new Error(`bringup ${command} reads files that only root may read; run: ${line}`);
}
