#!/usr/bin/env node
import {basename} from 'node:path';
import {bringup} from './bringup.ts';

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
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
	if (error.code === 'EPIPE') process.exit(0); // the reader of a pipe has gone
	process.stderr.write(`error: cannot write to standard output: ${error.message}\n`);
	process.exit(1);
});

const words = process.argv.slice(2);
process.exitCode = await bringup(basename(process.argv[1] ?? '') === 'build-iso' ? ['build-iso', ...words] : words, {
	signal: abort.signal,
	environment: process.env,
	out: process.stdout,
	err: process.stderr,
});
