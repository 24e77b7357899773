import {Writable} from 'node:stream';
import {bringup} from './bringup.ts';

/** Runs bringup in this process, for who has no terminal: the exit code, and all that it says. */
export async function say(
	args: readonly string[],
	env: Readonly<Record<string, string>> = {},
): Promise<{code: number; text: string}> {
	let text = '';
	const stream = new Writable({
		write(chunk, _encoding, done) {
			text += String(chunk);
			done();
		},
	}) as unknown as NodeJS.WriteStream;
	const environment = {...process.env, PATH: `${process.env['PATH']}:/usr/sbin:/sbin`, ...env};
	const {signal} = new AbortController();
	const code = await bringup(args, {signal, environment, out: stream, err: stream});
	return {code, text};
}
